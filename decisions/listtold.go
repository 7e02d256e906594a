package decisions

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	// toldBucket has what is to be told again of lists, by name, end and a number.
	toldBucket = "listtold"
	// maxToldParts bounds the parts of a list that were told with ends of their own.
	maxToldParts = 256
)

// toldList is a list that subscribers know of, and what they were told of it. Some take
// no notice of a later end: what they were told with an end has to be told again when
// that comes and the list goes on.
type toldList struct {
	list    *Blocklist // as it was told last
	changed int64      // when that was, Unix milliseconds; 0: not known
	parts   []toldPart // by end
	// shown: somebody was told entries with the end that the list has, which no part
	// says.
	shown atomic.Bool
}

// toldPart is what was told of a list with one end.
type toldPart struct {
	end     int64 // Unix milliseconds
	serial  int64
	entries *Blocklist // nil: all
}

func (p *toldPart) key(name string) string { return name + "\x00" + endKey(p.end, p.serial) }

func (p *toldPart) write(name string) op {
	w := op{bucket: toldBucket, key: p.key(name), value: []byte{}}
	if p.entries != nil {
		w.value = p.entries.Encode()
	}
	return w
}

func decodeToldPart(key string, value []byte) (name string, p toldPart, err error) {
	name, rest, ok := strings.Cut(key, "\x00")
	if !ok || len(rest) != 16 {
		return name, p, errListCode
	}
	p.end, p.serial = int64(binary.BigEndian.Uint64([]byte(rest[:8]))), int64(binary.BigEndian.Uint64([]byte(rest[8:])))
	if len(value) > 0 {
		p.entries, err = DecodeBlocklist(value)
	}
	return name, p, err
}

// move makes next, which is like what it was or nothing (nil), the list, and returns
// what the disk hears of it.
func (t *toldList) move(next *Blocklist, serial int64) (writes []op) {
	if t.list != nil && t.shown.Load() && next != nil && next.Until.After(t.list.Until) {
		writes = t.add(nil, serial)
	}
	t.shown.Store(false)
	t.list = next
	return writes
}

// add notes that entries (nil: all) are told with the end that the list has now, and
// returns what the disk hears of it.
func (t *toldList) add(entries *Blocklist, serial int64) (writes []op) {
	p := toldPart{end: t.list.Until.UnixMilli(), serial: serial, entries: entries}
	same := func(q toldPart) bool { return q.end == p.end }
	if slices.ContainsFunc(t.parts, func(q toldPart) bool { return same(q) && q.entries == nil }) {
		return nil
	}
	n := 0
	for i := range t.parts {
		if same(t.parts[i]) {
			n += t.parts[i].entries.Len() + stepWeight
		}
	}
	if entries != nil && n+entries.Len() > max(t.list.Len()/2, 64*stepWeight) {
		p.entries = nil // a large part of the list, or many small ones
	}
	if p.entries == nil {
		writes = t.drop(same)
	}
	t.parts = append(t.parts, p)
	slices.SortStableFunc(t.parts, func(x, y toldPart) int { return cmp.Compare(x.end, y.end) })
	writes = append(writes, p.write(t.list.Name))
	if len(t.parts) > maxToldParts {
		writes = append(writes, t.merge()...)
	}
	return writes
}

// drop takes out the parts that unwanted accepts.
func (t *toldList) drop(unwanted func(toldPart) bool) (writes []op) {
	t.parts = slices.DeleteFunc(t.parts, func(p toldPart) bool {
		if !unwanted(p) {
			return false
		}
		writes = append(writes, op{bucket: toldBucket, key: p.key(t.list.Name)})
		return true
	})
	return writes
}

// merge makes one of the two parts whose ends are closest, the first of which is told
// a little late then.
func (t *toldList) merge() (writes []op) {
	near := 1
	for i := range t.parts[1:] {
		if t.parts[i+1].end-t.parts[i].end < t.parts[near].end-t.parts[near-1].end {
			near = i + 1
		}
	}
	first, second := t.parts[near-1], &t.parts[near]
	second.entries = joined(first.entries, second.entries)
	t.parts = slices.Delete(t.parts, near-1, near)
	return []op{{bucket: toldBucket, key: first.key(t.list.Name)}, t.parts[near-1].write(t.list.Name)}
}

// joined are the entries of both lists, nil (all) if one of them is that.
func joined(x, y *Blocklist) *Blocklist {
	if x == nil || y == nil {
		return nil
	}
	var b listBuilder
	for _, l := range []*Blocklist{x, y} {
		for p := range l.All() {
			_ = b.add(p) // it was in a list before
		}
	}
	return b.finish(y.ListHead)
}

// come takes out the parts whose end has come at now, and tells which of their entries
// the list still has: all (whole), or those with these indexes.
func (t *toldList) come(now int64) (whole bool, indexes []int, writes []op) {
	writes = t.drop(func(p toldPart) bool {
		if p.end > now {
			return false
		}
		if p.entries == nil {
			whole = true
			return true
		}
		for e := range p.entries.All() {
			if i, ok := t.list.Index(e); ok {
				indexes = append(indexes, i)
			}
		}
		return true
	})
	slices.Sort(indexes)
	return whole, slices.Compact(indexes), writes
}
