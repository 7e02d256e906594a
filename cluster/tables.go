package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/store"
)

//go:embed table.lua
var tableLua string

//go:embed tableprune.lua
var tablePruneLua string

//go:embed tablebegin.lua
var tableBeginLua string

const (
	// maxRows of one table, deleted ones that are remembered included.
	maxRows = 1 << 17
	// goneFor is how long a deletion is remembered. A node that was away for longer
	// believes that what Redis does not have any more is deleted.
	goneFor = 7 * 24 * time.Hour
	// tablesPoll is how often the versions are looked at, should a notice be lost.
	tablesPoll = 2 * time.Second
	// tablesCompare is how often all is compared, should more than that be lost.
	tablesCompare = 10 * time.Minute
)

// TablesOptions are those of Tables.
type TablesOptions struct {
	DB  *store.DB // required; stays the caller's, close it after the Tables
	Now func() time.Time
}

// Tables are small tables of rows, keys with values, that all nodes of a fleet have.
// Each has a copy on disk, which answers at once and without Redis; a write is in
// force here on return, and on the other nodes some milliseconds later. While Redis is
// away writes wait on disk, the last one of each row.
//
// Of two writes to a row the later wins, by the clocks of their nodes and then by the
// nodes' ids; a deletion wins over writes that did not know of it. Deletions are
// remembered for seven days: a row that was deleted while a node was away for longer,
// and Redis was emptied as well, comes back with it.
//
// The bucket of DB that has the name of a table has its rows, as a store of one node
// alone has them: a node that joins a fleet brings its rows along, and one that leaves
// it keeps them.
//
// A table has at most 131,072 rows of at most 256 KiB. It comes into being when it is
// first used; until then the node does not care what others have in it.
//
// It is safe for concurrent use.
type Tables struct {
	c      *Client
	o      TablesOptions
	put    *script
	prune  *script
	begin  *script
	wake   chan struct{}
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once

	opening sync.Mutex // held while a table is opened
	mu      sync.Mutex
	tables  map[string]*table
	ear     func(table, key string, value []byte) // may be nil

	sent, taken, refused, compares atomic.Int64
}

// OpenTables opens the tables of the fleet that c belongs to. It does not wait for
// Redis. Close ends it, before the client.
func OpenTables(c *Client, o TablesOptions) (*Tables, error) {
	if o.DB == nil {
		return nil, errors.New("sharing tables: no database")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Tables{
		c: c, o: o, wake: make(chan struct{}, 1), tables: map[string]*table{},
		put: c.script("table", tableLua), prune: c.script("table-prune", tablePruneLua),
		begin: c.script("table-begin", tableBeginLua),
	}
	ctx, cancel := context.WithCancel(c.ctx)
	t.cancel = cancel
	t.tasks.Go(func() { t.run(ctx) })
	t.tasks.Go(func() {
		c.subscribe(ctx, t.channel(), func() error { poke(t.wake); return nil }, func(string) { poke(t.wake) })
	})
	return t, nil
}

// Close tells the fleet what waits, as far as Redis is there and until ctx ends, and
// stops. What is left stays on disk and is told after the next start.
func (t *Tables) Close(ctx context.Context) error {
	var err error
	t.closed.Do(func() {
		t.cancel()
		t.tasks.Wait()
		if t.c.Up() && t.waiting() > 0 {
			if err = t.step(ctx); err != nil {
				err = fmt.Errorf("telling the fleet of the last changes, which stay recorded here: %w", err)
			}
		}
	})
	return err
}

func (t *Tables) channel() string            { return t.c.key("{j}", "tables") }
func (t *Tables) headsKey() string           { return t.c.key("{j}", "table") }
func (t *Tables) rowsKey(name string) string { return t.c.key("{j}", "table", name) }
func (t *Tables) orderKey(name string) string {
	return t.c.key("{j}", "table", name, "order")
}

// Each calls fn for the rows of a table in order of their keys, as they are on this
// node, until it returns an error, which Each returns. The value is valid during the
// call only; fn must not write to the tables.
func (t *Tables) Each(name string, fn func(key string, value []byte) error) error {
	if _, err := t.table(name); err != nil {
		return err
	}
	return t.o.DB.Each(name, "", fn)
}

// Put writes a row, durable on this node on return.
func (t *Tables) Put(name, key string, value []byte) error {
	return t.write(name, row{key: key, kind: rowLive, value: value})
}

// PutAll writes many rows at the price of one: all, or with an error none of them.
func (t *Tables) PutAll(name string, values map[string][]byte) error {
	rows := make([]row, 0, len(values))
	for key, value := range values {
		rows = append(rows, row{key: key, kind: rowLive, value: value})
	}
	return t.write(name, rows...)
}

// Delete takes a row out, durable on this node on return; an absent one is no error.
func (t *Tables) Delete(name, key string) error {
	return t.write(name, row{key: key, kind: rowGone})
}

// Watch has fn, nil for nobody, called for each row that another node has changed,
// after it is in force here; with a nil value: the row is gone. fn is called from one
// goroutine and should not take long. What it is told of and a write of this node at
// the same moment have no order: the row itself is what Each tells.
func (t *Tables) Watch(fn func(table, key string, value []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ear = fn
}

// write is a write of this node.
func (t *Tables) write(name string, rows ...row) error {
	for i := range rows {
		if err := rows[i].check(); err != nil {
			return fmt.Errorf("writing to table %s: %w", name, err)
		}
	}
	tb, err := t.table(name)
	if err != nil {
		return err
	}
	if err := tb.write(rows); err != nil {
		return fmt.Errorf("writing to table %s: %w", name, err)
	}
	poke(t.wake)
	return nil
}

// table returns the table with that name, opening it at its first use.
func (t *Tables) table(name string) (*table, error) {
	if tb := t.known(name); tb != nil {
		return tb, nil
	}
	if !isName(name) {
		return nil, fmt.Errorf("table %q: not a name", name)
	}
	t.opening.Lock()
	defer t.opening.Unlock()
	if tb := t.known(name); tb != nil {
		return tb, nil
	}
	tb, err := openTable(t, name)
	if err != nil {
		return nil, fmt.Errorf("opening table %s: %w", name, err)
	}
	t.mu.Lock()
	t.tables[name] = tb
	t.mu.Unlock()
	poke(t.wake)
	return tb, nil
}

func (t *Tables) known(name string) *table {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tables[name]
}

// all are the tables that are open.
func (t *Tables) all() []*table {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*table, 0, len(t.tables))
	for _, tb := range t.tables {
		out = append(out, tb)
	}
	return out
}

// tell tells who watches of rows that others changed.
func (t *Tables) tell(name string, rows []row) {
	t.mu.Lock()
	ear := t.ear
	t.mu.Unlock()
	if ear == nil {
		return
	}
	for _, r := range rows {
		value := r.value
		if r.kind == rowGone {
			value = nil
		}
		ear(name, r.key, value)
	}
}

// refuse counts rows that are not taken over.
func (t *Tables) refuse(n int, err error) {
	t.refused.Add(int64(n))
	t.c.refuse("row of a table", err)
}

func (t *Tables) waiting() (n int) {
	for _, tb := range t.all() {
		n += tb.waits()
	}
	return n
}

// TablesStats are the figures of Tables. Those of the second block only grow.
type TablesStats struct {
	InStep  bool `json:"in_step"` // all tables were compared since Redis is there
	Rows    int  `json:"rows"`
	Waiting int  `json:"waiting"` // rows that the fleet is still to be told of

	Sent     int64 `json:"sent"`
	Taken    int64 `json:"taken"`   // rows that others changed
	Refused  int64 `json:"refused"` // what was read from Redis and must not be, or found no room
	Compares int64 `json:"compares"`
}

// Stats returns the figures.
func (t *Tables) Stats() TablesStats {
	s := TablesStats{InStep: t.c.Up(), Sent: t.sent.Load(), Taken: t.taken.Load(), Refused: t.refused.Load(), Compares: t.compares.Load()}
	for _, tb := range t.all() {
		rows, waiting, falls := tb.figures()
		s.Rows, s.Waiting = s.Rows+rows, s.Waiting+waiting
		s.InStep = s.InStep && falls == t.c.health.falls.Load()
	}
	return s
}
