package localapi

import (
	"errors"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// streamStep is how many changes are taken from the Book at once.
const streamStep = 1024

// maxLeft bounds what a cursor keeps of values, in bytes.
const maxLeft = 32 << 10

// errEpoch is what a stream meets when the journal forgets while it is read.
var errEpoch = errors.New("the journal began anew while it was read")

// sink takes decisions as a telling finds them: all new ones before those that ended.
type sink interface {
	add(f form, write func([]byte) []byte) error
}

// telling is one answer of the stream in the making: what changed for a selection
// since a cursor, in several passes over the changes, so that little of them is in
// memory at a time.
//
// No value is among the new and the ended ones of one answer: bouncers differ in
// which they look at first. What is left, or new, of a value whose end is told waits
// for the next answer: the telling owes it, and the cursor keeps the value.
type telling struct {
	s     *Server
	book  *decisions.Book
	sel   *selection
	to    sink
	now   time.Time
	from  Cursor
	fresh bool // the caller has nothing: what is in force is told, and what is gone for good

	journal, end int64 // changes of the journal after the one, up to the other
	lists        []decisions.ListChange
	afterLists   int64 // cursor before lists
	nextLists    int64

	ending  map[string]ended // by value, what of the journal is told to end
	removed [][]netip.Prefix // sorted: what lists no longer have
	owes    map[string]bool  // values
	owed    int              // bytes of them
	retold  map[string]bool  // values that the answer before owed

	d     decisions.Decision // that write writes
	left  time.Duration
	form  form
	write func([]byte) []byte
}

// ended is a type of which the end is told, at a change.
type ended struct {
	kind   string
	cursor int64
	more   *ended
}

func newTelling(s *Server, sel *selection, from Cursor, to sink) *telling {
	t := &telling{s: s, book: s.o.Book, sel: sel, to: to, from: from,
		ending: map[string]ended{}, owes: map[string]bool{}, retold: map[string]bool{}}
	t.write = func(dst []byte) []byte { return appendDecision(dst, &t.d, t.left, t.form) }
	return t
}

// tell tells everything and returns where the next answer goes on. An error means
// that the caller was not told all.
func (t *telling) tell() (Cursor, error) {
	t.begin()
	passes := []func() error{t.plan, t.debts, t.news, t.listNews, t.ends, t.listEnds}
	if t.fresh { // what is told is in force, so that no end of it is: one pass finds both
		passes = []func() error{t.news, t.listNews, t.ends}
	}
	for _, pass := range passes {
		if err := pass(); err != nil {
			return Cursor{}, err
		}
	}
	next := Cursor{Epoch: t.s.streams.epoch, Journal: t.end, Lists: t.nextLists, At: t.now}
	next.Left = strings.Join(slices.Sorted(maps.Keys(t.owes)), "\n")
	if t.owed > maxLeft {
		return Cursor{At: t.now}, nil // then everything in force is told again
	}
	return next, nil
}

// owe leaves what is in force against a value to the next answer. More than a cursor
// can keep is not gathered.
func (t *telling) owe(value string) {
	if !t.owes[value] && t.owed <= maxLeft {
		t.owes[value] = true
		t.owed += len(value) + 1
	}
}

// begin finds out where to start and where to end.
func (t *telling) begin() {
	t.now = t.s.o.Now()
	t.fresh = t.from.Epoch == ""
	switch {
	case t.fresh:
	case t.from.Epoch == t.s.streams.epoch:
		t.journal, t.afterLists = t.from.Journal, t.from.Lists
	default:
		since := t.from.At.Add(-streamOverlap)
		t.journal, t.afterLists = t.book.CursorAt(since), t.book.ListsCursorAt(since)
	}
	t.end = t.book.Cursor()
	if cs, _ := t.book.Since(t.journal, 1); len(cs) > 0 && cs[0].Reset {
		t.journal, t.afterLists = 0, 0
	}
	if t.lists, t.nextLists = t.book.ListsSince(t.afterLists); len(t.lists) > 0 && t.lists[0].Reset {
		t.journal, t.afterLists = 0, 0
	}
	for i := range t.lists {
		if gone := t.wantedOf(&t.lists[i], t.lists[i].Removed); len(gone) > 0 {
			t.removed = append(t.removed, sorted(gone))
		}
	}
}

// sorted returns ps in order; it copies them only if they are not.
func sorted(ps []netip.Prefix) []netip.Prefix {
	if !slices.IsSortedFunc(ps, netip.Prefix.Compare) {
		ps = slices.SortedFunc(slices.Values(ps), netip.Prefix.Compare)
	}
	return ps
}

// changes are those of the journal after one cursor, up to another.
func (t *telling) changes(from, to int64) iter.Seq2[*decisions.Change, error] {
	return func(yield func(*decisions.Change, error) bool) {
		for more := true; more && from < to; {
			var cs []decisions.Change
			cs, from = t.book.Since(from, streamStep)
			more = len(cs) == streamStep
			for i := range cs {
				if cs[i].Reset {
					yield(nil, errEpoch)
					return
				}
				if cs[i].Cursor > to || !yield(&cs[i], nil) {
					return
				}
			}
		}
	}
}

// plan finds the ends to tell.
func (t *telling) plan() error {
	for ch, err := range t.changes(t.journal, t.end) {
		if err != nil {
			return err
		}
		t.planEnd(ch)
	}
	return nil
}

// planEnd notes a change that is an end to tell.
func (t *telling) planEnd(ch *decisions.Change) {
	d := &ch.Decision
	if !ch.Gone || !t.sel.wants(d) || !t.lost(ch) {
		return
	}
	e := ended{kind: d.Type, cursor: ch.Cursor}
	if had, ok := t.ending[d.Value]; ok {
		e.more = &had
	}
	t.ending[d.Value] = e
}

// lost reports whether an end is to be told: that of a decision like which nothing is in
// force any more. What else there is of its value is owed then: some bouncers forget all
// of a value at once. Somebody who has nothing needs to hear only of values of which
// nothing is left.
//
// In place of a decision that was deleted another one counts only if it was there
// before, and is for as long: bouncers that keep what they have up to the end that was
// told take no notice of another one until then, and have to drop it first.
func (t *telling) lost(ch *decisions.Change) bool {
	d, early := &ch.Decision, ch.Due.After(ch.At)
	left := false
	for o := range t.book.Query(t.like(d.Value)) {
		if !o.Until.After(t.now) {
			continue
		}
		left = true
		if o.Type == d.Type && o.Scope == d.Scope && !t.sel.every && !t.fresh &&
			(!early || o.Created.Before(ch.At) && !o.Until.Before(ch.Due)) {
			return false
		}
	}
	if left && !t.fresh {
		t.owe(d.Value)
	}
	return !left || !t.fresh
}

// like selects what is in force against a value, whatever its scope: to some bouncers
// the text is all.
func (t *telling) like(value string) decisions.Query {
	q := t.sel.Query
	q.Value, q.Prefix = value, netip.Prefix{}
	return q
}

// debts tells what the answer before this one left out: what is in force against the
// values that it owes, of each scope and type the longest.
func (t *telling) debts() error {
	for value := range strings.SplitSeq(t.from.Left, "\n") {
		if value == "" {
			continue
		}
		if err := t.retell(value); err != nil {
			return err
		}
	}
	return nil
}

// retell tells all that is in force against a value, if it did not yet.
func (t *telling) retell(value string) error {
	if t.retold[value] {
		return nil
	}
	t.retold[value] = true
	for _, d := range t.longest(value) {
		if err := t.announce(&d); err != nil {
			return err
		}
	}
	return nil
}

// longest are the decisions in force against a value, of each scope and type one.
func (t *telling) longest(value string) (found []decisions.Decision) {
	for o := range t.book.Query(t.like(value)) {
		same := func(x decisions.Decision) bool { return x.Type == o.Type && x.Scope == o.Scope && !t.sel.every }
		if i := slices.IndexFunc(found, same); i < 0 {
			found = append(found, o)
		} else if o.Until.After(found[i].Until) {
			found[i] = o
		}
	}
	return found
}

// news tells what came into force, or goes on for longer.
func (t *telling) news() error {
	for ch, err := range t.changes(t.journal, t.end) {
		if err != nil {
			return err
		}
		if t.fresh {
			t.planEnd(ch)
		}
		if d := &ch.Decision; !ch.Gone && !t.retold[d.Value] && t.sel.wants(d) {
			if err := t.newOne(ch); err != nil {
				return err
			}
		}
	}
	return nil
}

// newOne tells of a decision that came, went on or is told again. In place of one that
// another outlasts it tells that: who took no notice of it before may do so now.
func (t *telling) newOne(ch *decisions.Change) error {
	switch {
	case t.sel.every || !t.outlasted(ch):
		return t.announce(&ch.Decision)
	case t.fresh:
		return nil
	}
	return t.retell(ch.Decision.Value)
}

// outlasted reports whether a like decision of the selection lasts longer.
func (t *telling) outlasted(ch *decisions.Change) bool {
	if !ch.Shadowed || !t.sel.narrow {
		return ch.Shadowed
	}
	d := &ch.Decision
	q := t.like(d.Value)
	q.Scopes, q.Types = []string{d.Scope}, []string{d.Type}
	for o := range t.book.Query(q) {
		if o.Until.After(d.Until) || o.Until.Equal(d.Until) && o.ID < d.ID {
			return true
		}
	}
	return false
}

// announce tells of a decision in force, unless the end of its value is told.
func (t *telling) announce(d *decisions.Decision) error {
	left := d.Until.Sub(t.now)
	if left <= 0 {
		return nil
	}
	_, ends := t.ending[d.Value]
	if !ends && len(t.removed) > 0 {
		ends = t.unlisted(d.Prefix())
	}
	if ends {
		t.owe(d.Value)
		return nil
	}
	return t.add(d, left, formNew)
}

// unlisted reports whether a list lost p.
func (t *telling) unlisted(p netip.Prefix) bool {
	return p.IsValid() && slices.ContainsFunc(t.removed, func(ps []netip.Prefix) bool {
		_, found := slices.BinarySearchFunc(ps, p, netip.Prefix.Compare)
		return found
	})
}

// ends tells of what ended, one end for each value and type.
func (t *telling) ends() error {
	if len(t.ending) == 0 {
		return nil
	}
	for ch, err := range t.changes(t.journal, t.end) {
		if err != nil {
			return err
		}
		if d := &ch.Decision; ch.Gone && t.sel.wants(d) && t.told(d, ch.Cursor) {
			if err := t.add(d, d.Until.Sub(t.now), formGone); err != nil {
				return err
			}
		}
	}
	return nil
}

// told reports whether a change is the latest end of its value and type.
func (t *telling) told(d *decisions.Decision, cursor int64) bool {
	e, ok := t.ending[d.Value]
	for at := &e; ok && at != nil; at = at.more {
		if at.kind == d.Type {
			return at.cursor == cursor
		}
	}
	return false
}

func (t *telling) add(d *decisions.Decision, left time.Duration, f form) error {
	t.d, t.left, t.form = *d, left, f
	return t.to.add(f, t.write)
}
