package event

import "sync"

// Pool recycles events. The zero value is ready; it is safe for concurrent use.
type Pool struct{ pool sync.Pool }

// Get returns an empty event.
func (p *Pool) Get() *Event {
	if e, ok := p.pool.Get().(*Event); ok {
		return e
	}
	return &Event{}
}

// Put takes e back; nobody may use it afterwards. Events whose maps have grown
// large are left to the collector, so that one odd line does not stay for ever.
func (p *Pool) Put(e *Event) {
	if e == nil || len(e.Parsed)+len(e.Meta)+len(e.Enriched) > 256 {
		return
	}
	e.Reset()
	p.pool.Put(e)
}
