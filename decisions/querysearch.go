package decisions

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// search is a Query or Filter as records are compared with it. It is for one reader
// at a time.
type search struct {
	ids   []int64 // ascending; nil: any
	uuids *uuidSet
	scopes, kinds, origins,
	scenarios sought
	scenario  scenarioTest
	value     string // in normal form, and its key
	valueKey  key
	prefix    netip.Prefix
	prefixKey key
	within    bool
	simulated demand
	whole     bool  // those over and suppressed too
	after     int64 // ids above
	page      int   // ids to hold at most
	now       int64 // Unix milliseconds
	turn      int   // of the names that the tests know
}

// demand is what is wanted of something that is so or not.
type demand uint8

const (
	either demand = iota
	required
	refused
)

func demanded(want *bool) demand {
	switch {
	case want == nil:
		return either
	case *want:
		return required
	}
	return refused
}

func (d demand) admits(is bool) bool { return d == either || is == (d == required) }

// use takes over a value and a prefix.
func (s *search) use(keys keyer, value string, p netip.Prefix) {
	if value != "" {
		s.value, _ = normalValue(value)
		s.valueKey = keys.of(s.value)
	}
	if p.IsValid() {
		s.prefix = plainPrefix(p)
		s.prefixKey = keyOf(s.prefix)
	}
	s.scenarios = s.scenario.sought()
}

// compile makes of f what records are compared with.
func (f *Filter) compile(keys keyer, now time.Time) *search {
	s := &search{
		scopes:    anyOf(nonEmpty(f.Scope), foldedText),
		kinds:     anyOf(nonEmpty(f.Type), foldedText),
		origins:   anyOf(nonEmpty(f.Origin), sameOrigin),
		scenario:  newScenarioTest(f.Scenario, nil, nil),
		simulated: demanded(f.Simulated),
		whole:     !f.Active,
		page:      queryPage,
		now:       now.UnixMilli(),
	}
	if f.ID != 0 {
		s.ids = []int64{f.ID}
	}
	var p netip.Prefix
	if a := plain(f.Contains); a.IsValid() {
		p = netip.PrefixFrom(a, a.BitLen())
	}
	s.use(keys, f.Value, p)
	return s
}

func newIDs(ids []int64) []int64 {
	if len(ids) == 0 {
		return nil
	}
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}

// renew lets the tests forget what names stood for, if that may have changed. The
// caller holds mu.
func (s *search) renew(names *names) {
	if s.turn == names.turn {
		return
	}
	s.turn = names.turn
	for _, t := range []*sought{&s.scopes, &s.kinds, &s.origins, &s.scenarios} {
		t.forget()
	}
}

// matches reports whether r passes; of ids it asks only that they are above s.after.
// The caller holds mu.
func (s *search) matches(x *index, r *record) bool {
	if r.id <= s.after || r.gone || !s.whole && (r.until <= s.now || r.suppressed) || !s.simulated.admits(r.simulated) {
		return false
	}
	if s.value != "" && r.key != s.valueKey || s.prefix.IsValid() && !(r.target && s.fits(r.key)) {
		return false
	}
	return s.kinds.has(x.names, r.kind) && s.origins.has(x.names, r.origin) && s.scopes.has(x.names, r.scope) &&
		s.scenarios.has(x.names, r.scenario) && (s.uuids == nil || s.uuids.has(x, r))
}

// fits reports whether what a decision is against is on the wanted side of the prefix.
func (s *search) fits(k key) bool {
	if s.within {
		return s.prefixKey.covers(k)
	}
	return k.covers(s.prefixKey)
}

// uuidSet is a set of uuids.
type uuidSet struct {
	usual map[[16]byte]bool
	odd   map[string]bool
	// hints has a bit for the beginning of each usual one: hardly any record needs
	// a look at the map.
	hints [1 << 8]uint64
}

func newUUIDs(texts []string) *uuidSet {
	if len(texts) == 0 {
		return nil
	}
	s := &uuidSet{usual: map[[16]byte]bool{}, odd: map[string]bool{}}
	for _, t := range texts {
		var u [16]byte
		if t != "" && parseUUID(&u, strings.ToLower(t)) {
			s.usual[u] = true
			s.hints[u[0]] |= 1 << (u[1] & 63)
		}
		s.odd[t] = true
	}
	return s
}

func (s *uuidSet) has(x *index, r *record) bool {
	if s.hints[r.uuid[0]]>>(r.uuid[1]&63)&1 != 0 && s.usual[r.uuid] {
		return true
	}
	return r.odd && x.odd[r.slot].uuid != "" && s.odd[x.odd[r.slot].uuid]
}
