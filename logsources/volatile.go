package logsources

import (
	"bytes"
	"sync"
)

// volatile is a Positions that lives as long as the process.
type volatile struct {
	mu     sync.Mutex
	values map[string][]byte
}

func newVolatile() *volatile { return &volatile{values: map[string][]byte{}} }

func (v *volatile) Load(key string) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.values[key]
	return bytes.Clone(b), ok
}

func (v *volatile) Save(key string, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[key] = bytes.Clone(value)
	return nil
}

func (v *volatile) Forget(key string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.values, key)
	return nil
}
