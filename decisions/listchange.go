package decisions

import (
	"net/netip"
	"slices"
	"time"
)

// ListChange is one step of the lists in force. Only what is told of is in it: entries
// that the allowlist covers are not, an entry of the allowlist that comes makes them
// Removed and one that goes Added, and a list that only simulates is as one that is
// not there.
//
// Entries may be told again unchanged: all of a list whose end moved when the end comes
// that was told before, those that were told with another end when that comes, and one
// that is the value of a decision, or an entry of another list, which ended.
type ListChange struct {
	Cursor int64
	Reset  bool // cursor too old: forget everything; the rest is empty
	At     time.Time
	// List is the list of this name, type and origin as it is now, nil if there is none
	// any more. What it does not have now is not among Added. What is Removed and has
	// come back is told again by a later change: look at all that is Removed first.
	List               *Blocklist
	Name, Origin, Type string
	// Whole: all entries of List, but those that the allowlist covers, are told.
	Whole          bool
	Added, Removed []netip.Prefix // in the order of the list
}

// ListsSince returns the changes of lists after cursor, oldest first, and the cursor to
// go on from. Cursor 0 is the beginning: every list in force, Whole. Changes are kept
// for a day, but no more than a million entries in all; a cursor from before what is
// kept gets a Reset and then what the beginning has. Cursors have nothing in common
// with those of Since; Watch wakes for both.
func (b *Book) ListsSince(cursor int64) (cs []ListChange, next int64) {
	steps, next, ok := b.lists.since(cursor)
	now := b.o.Now()
	lists := slices.DeleteFunc(b.Lists(), func(l *Blocklist) bool { return l.Simulated || l.ended(now) })
	if ok {
		inForce := map[string]*Blocklist{}
		for _, l := range lists {
			inForce[l.Name] = l
		}
		for i := range steps {
			if c, some := b.listChange(&steps[i], inForce); some {
				cs = append(cs, c)
			}
		}
		return cs, next
	}
	if cursor != 0 {
		cs = append(cs, ListChange{Cursor: next, Reset: true})
	}
	for _, l := range lists {
		cs = append(cs, ListChange{Cursor: next, At: b.lists.show(l), List: l,
			Name: l.Name, Origin: l.Origin(), Type: l.Type, Whole: true})
	}
	return cs, next
}

// ListsCursorAt returns a cursor from which ListsSince tells at least all that happened
// since t, for a subscriber whose own is of another run: a Reset if that is not known.
func (b *Book) ListsCursorAt(t time.Time) int64 { return b.lists.cursorAt(t.UnixMilli()) }

// listChange is what a step has to tell of lists as they are now, if anything.
func (b *Book) listChange(s *listStep, lists map[string]*Blocklist) (c ListChange, some bool) {
	c = ListChange{Cursor: s.cursor, At: timeOf(s.at), Name: s.head.Name, Origin: s.head.Origin(), Type: s.head.Type}
	if l := lists[s.head.Name]; l != nil && l.alike(&s.head) {
		c.List, c.Whole = l, s.whole
	}
	if s.added != nil && !c.Whole && c.List != nil {
		for p := range s.added.All() {
			if _, ok := c.List.Index(p); ok && !b.o.Allow.Covers(p) {
				c.Added = append(c.Added, p)
			}
		}
	}
	if s.removed != nil {
		c.Removed = slices.AppendSeq(make([]netip.Prefix, 0, s.removed.Len()), s.removed.All())
	}
	if (c.Whole || len(c.Added) > 0) && !c.List.Until.Equal(s.head.Until) {
		b.lists.show(c.List)
	}
	return c, c.Whole || len(c.Added)+len(c.Removed) > 0
}
