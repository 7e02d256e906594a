package decisions

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/rampart-edge/rampart/store"
)

const (
	metaBucket = "meta"
	// idBlock is how many ids are set aside on disk at a time: after a crash at
	// most so many are skipped, and none is ever given twice.
	idBlock = 1000
)

// counter gives out numbers that are never given again. Only the writer uses it.
type counter struct {
	key      string
	next     int64
	reserved atomic.Int64 // first number not yet set aside on disk
	asked    int64        // what the disk queue was last asked to set aside
}

func loadCounter(db *store.DB, key string) (*counter, error) {
	v, err := db.Get(metaBucket, key)
	if err != nil {
		return nil, err
	}
	c := &counter{key: key, next: 1}
	if v != nil {
		if len(v) != 8 {
			return nil, fmt.Errorf("reading counter %s: %d bytes, want 8", key, len(v))
		}
		c.next = int64(binary.BigEndian.Uint64(v))
	}
	c.reserved.Store(c.next)
	c.asked = c.next
	return c, nil
}

// ensure makes sure that the next n numbers are set aside, waiting for the disk
// only if it has to; it asks for the next block in good time.
func (c *counter) ensure(n int64, db *store.DB, w *writer) error {
	if c.next+n > c.reserved.Load() {
		limit := c.next + n + idBlock
		if err := db.Put(metaBucket, c.key, be64(limit)); err != nil {
			return fmt.Errorf("setting ids aside: %w", err)
		}
		c.asked = max(c.asked, limit)
		c.reserved.Store(limit)
	}
	if limit := c.next + n + idBlock; limit > c.asked+idBlock/2 {
		c.asked = limit
		w.add(op{bucket: metaBucket, key: c.key, value: be64(limit), done: func() {
			if limit > c.reserved.Load() {
				c.reserved.Store(limit)
			}
		}})
	}
	return nil
}

func (c *counter) take() int64 {
	c.next++
	return c.next - 1
}

func be64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// idKey is the key of id in the database, in order of ids.
func idKey(id int64) string { return string(be64(id)) }
