package decisions

import (
	"iter"
	"net/netip"
	"time"
)

// OriginLists is the origin that stands for all lists in a Query or AlertFilter.
// CrowdSec compatible: its decisions of lists have it.
const OriginLists = "lists"

const (
	// queryPage is how many ids a query holds at most (twice that while it looks).
	queryPage = 1 << 17
	// queryRead is how many decisions are read at a time, and ended by DeleteQuery.
	queryRead = 512
)

// Query selects decisions in force that are not suppressed. All criteria have to be
// met; an empty one does not restrict.
type Query struct {
	IDs   []int64
	UUIDs []string // entries of lists have none
	// Scopes, Origins and Types are met by any of their texts. CrowdSec compatible:
	// the four scopes that the journal knows in any case, and the origin "lists"
	// for all lists. The types that this node enforces are known in any case too.
	Scopes, Origins, Types []string
	Value                  string // in any spelling of an address or range
	// Prefix is met by decisions that cover all of it or, with Within, by those
	// that are inside it.
	Prefix netip.Prefix
	Within bool
	// Scenario is the name of a scenario. Contains and Lacks are parts of it in any
	// case: one of the former has to be in it, none of the latter may. Those of a
	// list are both its name and its scenario.
	Scenario        string
	Contains, Lacks []string
	Simulated       bool  // simulated decisions too
	After           int64 // decisions with higher ids only; of lists too
	Offset, Limit   int   // how many to leave out first, and how many there are at most (0: all)
}

// compile makes of q what records are compared with.
func (q *Query) compile(keys keyer, now time.Time) *search {
	s := &search{
		ids:      newIDs(q.IDs),
		uuids:    newUUIDs(q.UUIDs),
		scopes:   anyOf(q.Scopes, sameScope),
		kinds:    anyOf(q.Types, foldedText),
		origins:  anyOf(q.Origins, sameOrigin),
		scenario: newScenarioTest(q.Scenario, q.Contains, q.Lacks),
		within:   q.Within,
		after:    q.After,
		page:     queryPage,
		now:      now.UnixMilli(),
	}
	if !q.Simulated {
		s.simulated = refused
	}
	s.use(keys, q.Value, q.Prefix)
	return s
}

// Query yields the decisions that match q, by ascending ids, and after them the
// entries of lists that do. No lock is held while it yields, and it holds some
// 131,072 ids at most. A decision that is in force all the while comes once; one that
// comes or goes meanwhile may be among them or not. The sequence can be used more
// than once; each time it asks anew.
func (b *Book) Query(q Query) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		s := q.compile(b.index.keys, b.o.Now())
		skip, left := max(q.Offset, 0), q.Limit
		if left <= 0 {
			left = -1
		}
		take := func(d Decision) bool {
			if skip > 0 {
				skip--
				return true
			}
			left--
			return yield(d) && left != 0
		}
		var room []Decision
		for ids := range b.found(s, skip, left) {
			// Those that go while others are read count as left out.
			n := min(skip, len(ids))
			ids, skip = ids[n:], skip-n
			room = b.readFound(s, ids, room)
			for _, d := range room {
				if !take(d) {
					return
				}
			}
		}
		for d := range b.listed(s) {
			if !take(d) {
				return
			}
		}
	}
}

// found yields the ids of the records that match s, ascending, in parts of queryRead
// at most. skip and left (negative: all) are those of the query, so that it does not
// look for more than is wanted; more may come. No lock is held while it yields.
func (b *Book) found(s *search, skip, left int) iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		for {
			most := s.page
			if left >= 0 {
				most = min(most, skip+left)
			}
			ids := b.page(s, most)
			for from := 0; from < len(ids); from += queryRead {
				if !yield(ids[from:min(from+queryRead, len(ids))]) {
					return
				}
			}
			if len(ids) < most || len(ids) == 0 {
				return
			}
			next := *s
			next.after = ids[len(ids)-1]
			s = &next
		}
	}
}

// page returns the lowest ids of up to most records that match s, ascending.
func (b *Book) page(s *search, most int) []int64 {
	hits := lowest{most: most}
	b.mu.RLock()
	slots := b.narrow(s, &hits)
	b.mu.RUnlock()
	for from := int32(1); from < slots; {
		from = b.scan(s, &hits, from)
	}
	return hits.sorted()
}

// readFound reads into room those of ids that match s still.
func (b *Book) readFound(s *search, ids []int64, room []Decision) []Decision {
	room = room[:0]
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.renew(b.index.names)
	for _, id := range ids {
		if r := b.index.byNumber(id); r != nil && s.matches(b.index, r) {
			room = append(room, b.index.decision(r))
		}
	}
	return room
}
