package decisions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	listBucket = "lists"
	// maxLists bounds the lists of a book: a lookup that finds nothing asks all.
	maxLists = 64
)

// ErrNoList is in the chain when there is no list of a name.
var ErrNoList = errors.New("no such list")

// PutList brings a list into force in place of the one of its name, as one step for
// lookups. Its entries get a new block of decision IDs unless it has a Base. It is
// kept as one value in the database, and ends by itself.
func (b *Book) PutList(l *Blocklist) error {
	b.listing.Lock()
	defer b.listing.Unlock()
	if l.ended(b.o.Now()) {
		return fmt.Errorf("list %s: %w: its end was at %s", l.Name, ErrOver, l.Until.Format(time.RFC3339))
	}
	lists := slices.DeleteFunc(b.Lists(), func(o *Blocklist) bool { return o.Name == l.Name })
	if len(lists) >= maxLists {
		return fmt.Errorf("list %s: there are %d lists, no more fit; drop one first", l.Name, len(lists))
	}
	if l.Base < listsFrom && b.decision.shared() { // also a number from before the node joined
		l = l.based(listBase(l.Name, l.Version))
	}
	if l.Base == 0 {
		if err := b.enter(l.Len(), false); err != nil {
			return fmt.Errorf("list %s: %w", l.Name, err)
		}
		l = l.based(b.decision.row(int64(l.Len())))
		b.write.Unlock()
	}
	// Encoding a large list takes a while; nobody waits for it.
	return b.useLists(append(lists, l), op{bucket: listBucket, key: l.Name, value: l.Encode()})
}

// DropList ends a list.
func (b *Book) DropList(name string) error {
	b.listing.Lock()
	defer b.listing.Unlock()
	lists := b.Lists()
	rest := slices.DeleteFunc(lists, func(l *Blocklist) bool { return l.Name == name })
	if len(rest) == len(lists) {
		return fmt.Errorf("dropping list %.80q: %w", name, ErrNoList)
	}
	return b.useLists(rest, op{bucket: listBucket, key: name})
}

// Lists are the lists in force, by name; the slice is the caller's.
func (b *Book) Lists() []*Blocklist { return b.set.lists() }

// useLists makes lists those in force, and ops what the database hears of it. The
// caller holds listing.
func (b *Book) useLists(lists []*Blocklist, ops ...op) error {
	slices.SortFunc(lists, func(x, y *Blocklist) int { return strings.Compare(x.Name, y.Name) })
	b.markSimulated(lists)
	fresh, turns := newListings(lists), b.turns(lists) // takes a while with large ones: before the lock
	if err := b.enter(0, false); err != nil {
		return err
	}
	b.set.setLists(fresh)
	b.useTurns(turns) // on disk first: steps to a list that is not there tell nothing
	b.disk.add(ops...)
	b.write.Unlock()
	b.watch.wake()
	return nil
}

// endLists drops the lists that are over at now, and tells of lists what is due.
func (b *Book) endLists(now time.Time) {
	ended := slices.ContainsFunc(b.Lists(), func(l *Blocklist) bool { return l.ended(now) })
	differ, due := b.lists.late(b.Lists(), now)
	if !ended && !differ && !due {
		return
	}
	b.listing.Lock()
	defer b.listing.Unlock()
	if ended || differ {
		b.dropEnded(now)
	}
	b.write.Lock()
	defer b.write.Unlock()
	if !b.closed {
		b.tellDue(now)
	}
}

// dropEnded drops the lists that are over at now. The caller holds listing.
func (b *Book) dropEnded(now time.Time) {
	var rest []*Blocklist
	var ops []op
	for _, l := range b.Lists() {
		if l.ended(now) {
			ops = append(ops, op{bucket: listBucket, key: l.Name})
		} else {
			rest = append(rest, l)
		}
	}
	if err := b.useLists(rest, ops...); err != nil && !errors.Is(err, ErrClosed) {
		// Lookups take no notice of what is over; the next call tries again.
		b.o.Logger.Warn("lists that are over stay for a moment", zap.Error(err))
	}
}

// loadLists reads the lists from disk; those that ended meanwhile go.
func (b *Book) loadLists(now time.Time, j *job) error {
	var lists []*Blocklist
	known := map[string]*Blocklist{}
	err := b.o.DB.Each(listBucket, "", func(key string, value []byte) error {
		l, err := DecodeBlocklist(value)
		switch {
		case err != nil || l.Name != key || l.Base == 0 || len(lists) >= maxLists:
			b.damagedRecord("list", key, err)
		case l.ended(now):
			j.remove(listBucket, key)
			known[key] = l
		default:
			lists = append(lists, l)
			known[key] = l
		}
		return nil
	})
	b.set.setLists(newListings(lists))
	if err != nil {
		return err
	}
	return b.loadTold(known, j)
}

// listDecision is the decision that entry i of l is.
func (b *Book) listDecision(l *Blocklist, i int) Decision {
	p := l.At(i)
	d := Decision{ID: l.Base + int64(i), Type: l.Type, Origin: l.Origin(), Scenario: l.Scenario, Created: l.Created,
		Until: l.Until, Direct: true, Simulated: l.Simulated, Suppressed: b.o.Allow.Covers(p)}
	setTarget(&d, p)
	return d
}

// Suppressed counts the entries of l that the allowlist covers.
func (b *Book) Suppressed(l *Blocklist) int {
	n := 0
	for _, p := range b.o.Allow.Ranges() {
		n += l.inside(p)
	}
	return n
}
