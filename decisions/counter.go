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
// apart from spare. Once the Book is one of a fleet they are those of its blocks.
type counter struct {
	key      string
	blocks   atomic.Pointer[blocks]
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
		if c.asked, err = parse64(key, v); err != nil {
			return nil, err
		}
	}
	c.next.Store(c.asked)
	c.reserved.Store(c.asked)
	return c, nil
}

// ask has the next block set aside in good time, so that n numbers and some more
// can be given out.
func (c *counter) ask(n int64, w *writer) {
	if k := c.blocks.Load(); k != nil {
		k.ask(n, w)
		return
	}
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
func (c *counter) has(n int64) bool {
	if k := c.blocks.Load(); k != nil {
		return k.usable.Load() >= n
	}
	return c.next.Load()+n <= c.reserved.Load()
}

// short reports whether there are no n numbers at all, set aside or on the way.
func (c *counter) short(n int64) bool {
	k := c.blocks.Load()
	return k != nil && k.left < n
}

// spare reports whether enough numbers are set aside for what may come at once.
func (c *counter) spare() bool { return c.has(idBlock / 10) }

// after makes sure that no number up to and with id is given out. Those that a
// fleet does not grant are far away, and not passed.
func (c *counter) after(id int64) {
	if id < listsFrom {
		c.next.Store(max(c.next.Load(), id+1))
	}
}

func (c *counter) take() int64 {
	if k := c.blocks.Load(); k != nil {
		return k.take()
	}
	return c.next.Add(1) - 1
}

// row takes n numbers that follow each other. It is not for a Book that is shared.
func (c *counter) row(n int64) (first int64) { return c.next.Add(n) - n }

// shared reports whether the numbers are those of a fleet.
func (c *counter) shared() bool { return c.blocks.Load() != nil }

// unused reports whether id is one of the fleet's that only this node may give
// out, and has not.
func (c *counter) unused(id int64) bool {
	k := c.blocks.Load()
	return k != nil && k.unused(id)
}

// closing is what the database has to know of a counter that is not used any more.
func (c *counter) closing() op {
	if k := c.blocks.Load(); k != nil {
		k.giveBack()
		return op{bucket: metaBucket, key: k.key, value: k.encode()}
	}
	return op{bucket: metaBucket, key: c.key, value: be64(c.next.Load())}
}

// parse64 reads what be64 writes.
func parse64(key string, v []byte) (int64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("reading %s: %d bytes, want 8", key, len(v))
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

func be64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// idKey is the key of id in the database, in order of ids.
func idKey(id int64) string { return string(be64(id)) }
