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

// counter gives out numbers that are never given again. Only the writer uses it,
// apart from spare.
type counter struct {
	key      string
	next     atomic.Int64
	reserved atomic.Int64 // first number not yet set aside on disk
	asked    int64        // what the disk queue was last asked to set aside
}

func loadCounter(db *store.DB, key string) (*counter, error) {
	v, err := db.Get(metaBucket, key)
	if err != nil {
		return nil, err
	}
	c := &counter{key: key, asked: 1}
	if v != nil {
		if len(v) != 8 {
			return nil, fmt.Errorf("reading counter %s: %d bytes, want 8", key, len(v))
		}
		c.asked = int64(binary.BigEndian.Uint64(v))
	}
	c.next.Store(c.asked)
	c.reserved.Store(c.asked)
	return c, nil
}

// ask has the next block set aside in good time, so that n numbers and some more
// can be given out.
func (c *counter) ask(n int64, w *writer) {
	limit := c.next.Load() + n + idBlock
	if limit <= c.asked+idBlock/2 {
		return
	}
	c.asked = limit
	w.add(op{bucket: metaBucket, key: c.key, value: be64(limit), done: func() {
		if limit > c.reserved.Load() {
			c.reserved.Store(limit)
		}
	}})
}

// has reports whether n numbers are set aside.
func (c *counter) has(n int64) bool { return c.next.Load()+n <= c.reserved.Load() }

// spare reports whether enough numbers are set aside for what may come at once.
func (c *counter) spare() bool { return c.has(idBlock / 10) }

// after makes sure that no number up to and with id is given out.
func (c *counter) after(id int64) { c.next.Store(max(c.next.Load(), id+1)) }

func (c *counter) take() int64 { return c.next.Add(1) - 1 }

func be64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// idKey is the key of id in the database, in order of ids.
func idKey(id int64) string { return string(be64(id)) }
