package localapi

import (
	"github.com/rampart-edge/rampart/store"
)

// Store keeps the Registry's tables: on this node's disk (NewStore), or shared by a
// fleet. Writes are durable, or will be, when they return nil.
type Store interface {
	// Each calls fn for every key of a table; fn must not write to the store.
	Each(table string, fn func(key string, value []byte) error) error
	Put(table, key string, value []byte) error
	Delete(table, key string) error
	// Watch sets who hears of what others changed, nil for a key that is gone.
	Watch(fn func(table, key string, value []byte))
}

// batcher is a Store that writes many values of a table for the price of one.
type batcher interface {
	PutAll(table string, values map[string][]byte) error
}

// NewStore keeps tables in a database of this node; nobody else changes them.
func NewStore(db *store.DB) Store { return local{db} }

type local struct{ db *store.DB }

func (l local) Each(table string, fn func(key string, value []byte) error) error {
	return l.db.Each(table, "", fn)
}

func (l local) Put(table, key string, value []byte) error { return l.db.Put(table, key, value) }

func (l local) Delete(table, key string) error { return l.db.Delete(table, key) }

func (l local) Watch(func(table, key string, value []byte)) {}

// PutAll writes in one transaction.
func (l local) PutAll(table string, values map[string][]byte) error {
	return l.db.Update(func(tx *store.Tx) error {
		for key, v := range values {
			if err := tx.Put(table, key, v); err != nil {
				return err
			}
		}
		return nil
	})
}
