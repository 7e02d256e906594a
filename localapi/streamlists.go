package localapi

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// setTarget makes p the scope and value of d.
func setTarget(d *decisions.Decision, p netip.Prefix) {
	if p.IsSingleIP() {
		d.Scope, d.Value = decisions.ScopeIP, p.Addr().String()
		return
	}
	d.Scope, d.Value = decisions.ScopeRange, p.String()
}

// listed is what all entries of a list have in common.
func (t *telling) listed(lc *decisions.ListChange) decisions.Decision {
	d := decisions.Decision{Type: lc.Type, Origin: lc.Origin, Scenario: lc.Name, Until: lc.At}
	if lc.List != nil {
		d.Scenario, d.Until = lc.List.Scenario, lc.List.Until
	}
	return d
}

// listNews tells of the entries that lists got.
func (t *telling) listNews() error {
	for i := range t.lists {
		if err := t.listAdded(&t.lists[i]); err != nil {
			return err
		}
	}
	return nil
}

// added are the entries of a list that are to be told, with their index.
func (t *telling) added(lc *decisions.ListChange) iter.Seq2[int, netip.Prefix] {
	return func(yield func(int, netip.Prefix) bool) {
		if lc.Whole {
			allow := t.book.Allow()
			for i := range lc.List.Len() {
				if p := lc.List.At(i); !allow.Covers(p) && !yield(i, p) {
					return
				}
			}
			return
		}
		for _, p := range lc.Added {
			if i, ok := lc.List.Index(p); ok && !yield(i, p) {
				return
			}
		}
	}
}

func (t *telling) listAdded(lc *decisions.ListChange) error {
	if lc.List == nil {
		return nil
	}
	d := t.listed(lc)
	left := d.Until.Sub(t.now)
	if left <= 0 {
		return nil
	}
	var scratch [64]byte
	entry := newListEntry(&d, left)
	wants := t.wantsEntries(lc)
	for i, p := range t.added(lc) {
		if !wants(p) {
			continue
		}
		value := appendTarget(scratch[:0], p)
		if t.retold[string(value)] {
			continue
		}
		if _, ends := t.ending[string(value)]; ends || len(t.removed) > 0 && t.unlisted(p) {
			t.owe(string(value))
			continue
		}
		entry.id, entry.single, entry.value = lc.List.Base+int64(i), p.IsSingleIP(), value
		if err := t.to.add(formNew, entry.write); err != nil {
			return err
		}
	}
	return nil
}

// wantsEntries tells which entries of a list are selected.
func (t *telling) wantsEntries(lc *decisions.ListChange) func(netip.Prefix) bool {
	rest := *t.sel
	rest.Value, rest.Prefix = "", netip.Prefix{}
	one, many := t.listed(lc), t.listed(lc)
	one.Scope, many.Scope = decisions.ScopeIP, decisions.ScopeRange
	addresses, ranges := rest.wants(&one), rest.wants(&many)
	return func(p netip.Prefix) bool {
		wanted := ranges
		if p.IsSingleIP() {
			wanted = addresses
		}
		var room [64]byte
		return wanted && (!t.sel.Prefix.IsValid() || t.sel.wantsPrefix(p)) &&
			(t.sel.Value == "" || string(appendTarget(room[:0], p)) == t.sel.Value)
	}
}

// wantedOf are those of some entries of a list that are selected.
func (t *telling) wantedOf(lc *decisions.ListChange, ps []netip.Prefix) []netip.Prefix {
	wants := t.wantsEntries(lc)
	if all := !slices.ContainsFunc(ps, func(p netip.Prefix) bool { return !wants(p) }); all {
		return ps
	}
	var out []netip.Prefix
	for _, p := range ps {
		if wants(p) {
			out = append(out, p)
		}
	}
	return out
}

// appendTarget writes p as the value of a decision.
func appendTarget(dst []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(dst)
	}
	return p.AppendTo(dst)
}

// listEntry writes entries of one list: what they have in common is written once.
type listEntry struct {
	id     int64
	single bool
	value  []byte

	head                   []byte
	address, reach, middle []byte
	write                  func([]byte) []byte
}

func newListEntry(d *decisions.Decision, left time.Duration) *listEntry {
	origin, scenario := cause(d.Origin, d.Scenario)
	e := &listEntry{head: append(appendDuration([]byte(`{"duration":"`), atLeastSecond(left)), `","id":`...)}
	e.middle = appendString(append(appendString([]byte(`,"origin":`), origin), `,"scenario":`...), scenario)
	kind := appendString([]byte(`,"type":`), d.Type)
	kind = append(kind, `,"value":"`...)
	e.address = append([]byte(`,"scope":"`+decisions.ScopeIP+`"`), kind...)
	e.reach = append([]byte(`,"scope":"`+decisions.ScopeRange+`"`), kind...)
	e.write = e.append
	return e
}

// append writes the entry. Values of lists need no escape.
func (e *listEntry) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, e.head...), e.id, 10)
	dst = append(dst, e.middle...)
	if e.single {
		dst = append(dst, e.address...)
	} else {
		dst = append(dst, e.reach...)
	}
	return append(append(dst, e.value...), `"}`...)
}

// listEnds tells of the entries that lists lost.
func (t *telling) listEnds() error {
	for i := range t.lists {
		lc := &t.lists[i]
		d := t.listed(lc)
		d.Until = lc.At
		for _, p := range t.wantedOf(lc, lc.Removed) {
			setTarget(&d, p)
			if !t.lost(&decisions.Change{Decision: d}) {
				continue
			}
			if err := t.add(&d, d.Until.Sub(t.now), formGone); err != nil {
				return err
			}
		}
	}
	return nil
}
