package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rampart-edge/rampart/store"
)

const (
	// tableBucket has the marks of the tables, tableNotes and a table's name the notes
	// of its rows.
	tableBucket = "tables"
	tableNotes  = "table notes "
	// notCompared is the count of falls of a table that was not compared yet.
	notCompared = -1
)

var errTableFull = fmt.Errorf("table has %d rows: delete some", maxRows)

// table is one table on this node: values and notes of its rows are on disk.
type table struct {
	t     *Tables
	name  string // of the bucket with the values too
	notes string // bucket
	// writing is held over a transaction and what follows from it, so that waiting says
	// what the disk says.
	writing sync.Mutex
	mu      sync.Mutex          // taken after writing
	rows    int                 // that have a note
	waiting map[string]struct{} // whom the fleet is still to be told of
	mark    mark
	falls   int64 // of Redis when all was last compared
}

// mark is where a table stands in Redis.
type mark struct {
	Epoch  string    `json:"epoch"`
	Cursor int64     `json:"cursor"` // version that was read
	Seen   time.Time `json:"seen"`   // when all was last compared
}

// openTable reads what there is of a table. Rows that changed without a note, since
// the node was not in a fleet, are changes of now.
func openTable(t *Tables, name string) (*table, error) {
	tb := &table{t: t, name: name, notes: tableNotes + name, waiting: map[string]struct{}{}, falls: notCompared}
	now := t.o.Now()
	err := t.o.DB.Update(func(tx *store.Tx) error {
		if text := tx.Get(tableBucket, name); text != nil {
			if err := json.Unmarshal(text, &tb.mark); err != nil {
				tb.mark = mark{} // all will be compared
			}
		}
		notes, err := tb.readNotes(tx)
		if err != nil {
			return err
		}
		rows := map[string]string{}
		err = tx.Each(name, "", func(key string, value []byte) error {
			rows[key] = sumOf(value)
			return nil
		})
		if err != nil {
			return err
		}
		changed := map[string]note{}
		for key, sum := range rows {
			if n := notes[key]; !n.live() || n.sum != sum {
				changed[key] = note{n.next(now, t.c.o.Node, n.live()), rowLive, true, sum}
			}
		}
		for key, n := range notes {
			if _, there := rows[key]; !there && n.live() {
				changed[key] = note{n.next(now, t.c.o.Node, false), rowGone, true, ""}
			}
		}
		for key, n := range changed {
			if err := tx.Put(tb.notes, key, n.encode()); err != nil {
				return err
			}
		}
		maps.Copy(notes, changed)
		for key, n := range notes {
			if n.waiting {
				tb.waiting[key] = struct{}{}
			}
		}
		tb.rows = len(notes)
		return nil
	})
	return tb, err
}

// readNotes reads the notes of all rows; those that cannot be read are as none.
func (tb *table) readNotes(tx *store.Tx) (map[string]note, error) {
	notes := map[string]note{}
	err := tx.Each(tb.notes, "", func(key string, data []byte) error {
		if n, err := parseNote(data); err == nil {
			notes[key] = n
		}
		return nil
	})
	return notes, err
}

// note is what is known of a row: nothing where the note cannot be read.
func (tb *table) note(tx *store.Tx, key string) note {
	n, err := parseNote(tx.Get(tb.notes, key))
	if err != nil {
		return note{}
	}
	return n
}

// write are writes of this node, all or none of them.
func (tb *table) write(rows []row) error {
	tb.writing.Lock()
	defer tb.writing.Unlock()
	fresh, changed := 0, rows[:0]
	err := tb.t.o.DB.Update(func(tx *store.Tx) error {
		for _, r := range rows {
			n := tb.note(tx, r.key)
			if r.kind == rowGone && !n.live() || r.kind == rowLive && n.live() && n.sum == sumOf(r.value) {
				continue
			}
			if n.kind == 0 {
				if tb.full(fresh) {
					return errTableFull
				}
				fresh++
			}
			r.rank = n.next(tb.t.o.Now(), tb.t.c.o.Node, r.kind == rowLive && n.live())
			if err := tb.store(tx, &r, true); err != nil {
				return err
			}
			changed = append(changed, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows += fresh
	for i := range changed {
		tb.waiting[changed[i].key] = struct{}{}
	}
	return nil
}

// store writes a row and its note.
func (tb *table) store(tx *store.Tx, r *row, waiting bool) error {
	n := note{r.rank, r.kind, waiting, ""}
	if r.kind == rowGone {
		if err := tx.Delete(tb.name, r.key); err != nil {
			return err
		}
	} else {
		n.sum = sumOf(r.value)
		if err := tx.Put(tb.name, r.key, r.value); err != nil {
			return err
		}
	}
	return tx.Put(tb.notes, r.key, n.encode())
}

// take takes over those of the rows that rank above what is here, and tells of them.
func (tb *table) take(rows []row) error {
	if len(rows) == 0 {
		return nil // a transaction costs a write
	}
	news, err := tb.takeOver(rows)
	if err != nil {
		return fmt.Errorf("taking over rows: %w", err)
	}
	tb.t.taken.Add(int64(len(news)))
	tb.t.tell(tb.name, news)
	return nil
}

func (tb *table) takeOver(rows []row) (news []row, err error) {
	tb.writing.Lock()
	defer tb.writing.Unlock()
	fresh, old := 0, tb.t.o.Now().Add(-goneFor)
	err = tb.t.o.DB.Update(func(tx *store.Tx) error {
		for _, r := range rows {
			n := tb.note(tx, r.key)
			if n.kind != 0 && n.rank.String() >= r.rank.String() {
				continue
			}
			if n.kind == 0 {
				if r.kind == rowGone && r.at().Before(old) {
					continue // about to be forgotten everywhere
				}
				if tb.full(fresh) {
					tb.t.refuse(1, errTableFull)
					continue
				}
				fresh++
			}
			if err := tb.store(tx, &r, false); err != nil {
				return err
			}
			news = append(news, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows += fresh
	for i := range news {
		delete(tb.waiting, news[i].key)
	}
	return news, nil
}

// outgoing are some of the rows that wait, of at most some bytes together.
func (tb *table) outgoing(most, bytes int) (rows []row, err error) {
	tb.mu.Lock()
	keys := make([]string, 0, min(most, len(tb.waiting)))
	for key := range tb.waiting {
		if keys = append(keys, key); len(keys) == most {
			break
		}
	}
	tb.mu.Unlock()
	slices.Sort(keys)
	tb.writing.Lock() // note and value are of one write
	defer tb.writing.Unlock()
	for _, key := range keys {
		text, err := tb.t.o.DB.Get(tb.notes, key)
		if err != nil {
			return nil, err
		}
		n, err := parseNote(text)
		if err != nil || n.kind == 0 {
			continue
		}
		r := row{key: key, rank: n.rank, kind: n.kind}
		if r.value, err = tb.t.o.DB.Get(tb.name, key); err != nil {
			return nil, err
		}
		if bytes -= len(r.value); bytes < 0 && len(rows) > 0 {
			break
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// told notes that the fleet knows of rows, as far as they have not changed since.
func (tb *table) told(rows []row) error {
	tb.writing.Lock()
	defer tb.writing.Unlock()
	var done []string
	err := tb.t.o.DB.Update(func(tx *store.Tx) error {
		for _, r := range rows {
			n := tb.note(tx, r.key)
			if n.rank != r.rank {
				continue
			}
			n.waiting = false
			if err := tx.Put(tb.notes, r.key, n.encode()); err != nil {
				return err
			}
			done = append(done, r.key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, key := range done {
		delete(tb.waiting, key)
	}
	return nil
}

func (tb *table) full(more int) bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.rows+more >= maxRows
}

func (tb *table) waits() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return len(tb.waiting)
}

func (tb *table) figures() (rows, waiting int, falls int64) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.rows, len(tb.waiting), tb.falls
}
