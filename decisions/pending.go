package decisions

import "sync"

// pending are values that are on their way to the disk, of alerts or of ops, for
// those who want to read them already.
type pending struct {
	mu     sync.Mutex
	values map[int64][]byte
}

func (p *pending) put(id int64, value []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values == nil {
		p.values = map[int64][]byte{}
	}
	p.values[id] = value
}

// get returns a value, nil if it is not under way.
func (p *pending) get(id int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.values[id]
}

// done says that a value is durable.
func (p *pending) done(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.values, id)
}
