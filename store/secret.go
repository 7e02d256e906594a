package store

import (
	"crypto/rand"
	"fmt"
)

const secretBucket = "secrets"

// Secret returns the n random bytes kept under name, making them at the first
// call. Asking with another length than the kept one is an error, since it would
// silently void everything sealed with the old one.
func (d *DB) Secret(name string, n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("making secret %q: length %d, want one above zero", name, n)
	}
	s, err := d.Get(secretBucket, name)
	if err == nil && s == nil {
		err = d.Update(func(tx *Tx) error {
			if s = tx.Get(secretBucket, name); s != nil {
				return nil
			}
			s = make([]byte, n)
			if _, err := rand.Read(s); err != nil {
				return err
			}
			return tx.Put(secretBucket, name, s)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("making secret %q: %w", name, err)
	}
	if len(s) != n {
		return nil, fmt.Errorf("reading secret %q: it has %d bytes, want %d", name, len(s), n)
	}
	return s, nil
}
