package store

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// Tx is a transaction of Update. It must not leave the function that got it.
type Tx struct{ bolt *bbolt.Tx }

// Get returns a copy of the value of key, nil where there is none.
func (t *Tx) Get(bucket, key string) []byte {
	b := t.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return bytes.Clone(b.Get([]byte(key)))
}

// Put writes one value. The database refuses an empty key and one above 32 KiB.
func (t *Tx) Put(bucket, key string, value []byte) error {
	b, err := t.bolt.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("making bucket %q: %w", bucket, err)
	}
	if err := b.Put([]byte(key), value); err != nil {
		return fmt.Errorf("writing a key of %q: %w", bucket, err)
	}
	return nil
}

// Delete removes a key; an absent one is no error.
func (t *Tx) Delete(bucket, key string) error {
	b := t.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
		return fmt.Errorf("deleting a key of %q: %w", bucket, err)
	}
	return nil
}

// Each is DB.Each within the transaction; fn must not write to the same bucket.
func (t *Tx) Each(bucket, from string, fn func(key string, value []byte) error) error {
	b := t.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for k, v := c.Seek([]byte(from)); k != nil; k, v = c.Next() {
		if err := fn(string(k), v); err != nil {
			return err
		}
	}
	return nil
}
