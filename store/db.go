package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	fileName       = "rampart.db"
	defaultTimeout = 2 * time.Second
)

// ErrLocked is in the chain of Open's error when another process (or another DB
// of this one) has the directory open.
var ErrLocked = errors.New("data directory is in use")

// Options are those of a DB.
type Options struct {
	// Timeout is how long Open waits for the lock, 2 s if zero.
	Timeout time.Duration
}

// DB is one database file. Buckets come into being with their first key.
type DB struct {
	bolt   *bbolt.DB
	pid    *pidFile
	unname sync.Once // a second Close must not remove the next opener's pid file
}

// Open opens the database of directory dir, making both where they are missing:
// the directory for its owner alone (0700), the file likewise (0600).
func Open(dir string, o Options) (*DB, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making data directory: %w", err)
	}
	path := filepath.Join(dir, fileName)
	pid := &pidFile{path: filepath.Join(dir, pidFileName)}
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      o.Timeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening %s: %w by %s; stop it, or give this one a data directory of its own",
			path, ErrLocked, pid.owner())
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if err := pid.write(); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &DB{bolt: b, pid: pid}, nil
}

// Get returns a copy of the value of key, nil where there is none.
func (d *DB) Get(bucket, key string) ([]byte, error) {
	var v []byte
	err := d.bolt.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(bucket)); b != nil {
			v = bytes.Clone(b.Get([]byte(key)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s of the database: %w", bucket, err)
	}
	return v, nil
}

// Put writes one value, durable on return. A nil value is stored as an empty one.
func (d *DB) Put(bucket, key string, value []byte) error {
	return d.Update(func(tx *Tx) error { return tx.Put(bucket, key, value) })
}

// Delete removes a key; an absent one is no error.
func (d *DB) Delete(bucket, key string) error {
	return d.Update(func(tx *Tx) error { return tx.Delete(bucket, key) })
}

// Each calls fn for the keys from `from` on, in byte order, until it returns an
// error, which Each returns. The value is valid during the call only; fn must not
// write to this DB.
func (d *DB) Each(bucket, from string, fn func(key string, value []byte) error) error {
	return d.bolt.View(func(tx *bbolt.Tx) error { return (&Tx{tx}).Each(bucket, from, fn) })
}

// Update runs fn in one transaction: all of it is durable when Update returns
// nil, none of it after an error, fn's or the disk's.
func (d *DB) Update(fn func(tx *Tx) error) error {
	return d.bolt.Update(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// Size returns the size of the file in bytes.
func (d *DB) Size() (int64, error) {
	fi, err := os.Stat(d.bolt.Path())
	if err != nil {
		return 0, fmt.Errorf("measuring the database: %w", err)
	}
	return fi.Size(), nil
}

// Close waits for transactions under way and releases the lock. Closing twice is
// fine.
func (d *DB) Close() error {
	d.unname.Do(d.pid.remove)
	if err := d.bolt.Close(); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}
