package decisions

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
)

const (
	// originCommunity is the origin of the community's blocklist, kindCommunity the
	// kind of alerts that tell of it. CrowdSec compatible: names.
	originCommunity = "CAPI"
	kindCommunity   = "capi"
	// alertChunk is how many alerts are looked at before writers get their turn.
	alertChunk = 8192
)

// alertSearch is an AlertFilter as records are compared with it. It is for one
// reader at a time.
type alertSearch struct {
	AlertFilter
	key, contains                     key // of Value and Contains
	kinds, scopes, scenarios, machine sought
	// one has what is wanted of one decision: kinds, origins and the prefix; led
	// tells that something is.
	one search
	led bool
	// told are the kind, scope and origin that HideLists leaves out.
	told struct{ kinds, scopes, origins sought }
	now  int64
	turn int // of the names that the tests know
}

func (f AlertFilter) compile(keys keyer, now time.Time) *alertSearch {
	s := &alertSearch{
		AlertFilter: f,
		kinds:       anyOf(nonEmpty(f.Kind), sameText),
		scopes:      anyOf(nonEmpty(f.Scope), foldedText),
		scenarios:   anyOf(nonEmpty(f.Scenario), sameText),
		machine:     anyOf(nonEmpty(f.Machine), sameText),
		led:         f.Prefix.IsValid() || f.Origin != "" || f.DecisionType != "",
		now:         now.UnixMilli(),
	}
	if f.Value != "" {
		value, _ := normalValue(f.Value)
		s.key = keys.of(value)
	}
	if a := plain(f.Contains); a.IsValid() {
		s.contains = keyOf(netip.PrefixFrom(a, a.BitLen()))
	}
	s.one = search{kinds: anyOf(nonEmpty(f.DecisionType), foldedText), origins: anyOf(nonEmpty(f.Origin), sameOrigin), within: f.Within}
	s.one.use(keys, "", f.Prefix)
	isList := func(text string) bool { return strings.HasPrefix(text, listOrigin) }
	s.told.kinds = anyOf([]string{kindCommunity}, sameText)
	s.told.scopes.test = isList
	s.told.origins.test = func(text string) bool { return text == originCommunity || text == OriginLists || isList(text) }
	return s
}

// renew is search.renew.
func (s *alertSearch) renew(names *names) {
	if s.turn == names.turn {
		return
	}
	s.turn = names.turn
	for _, t := range []*sought{&s.kinds, &s.scopes, &s.scenarios, &s.machine, &s.one.kinds, &s.one.origins,
		&s.told.kinds, &s.told.scopes, &s.told.origins} {
		t.forget()
	}
}

// matches reports whether r passes all but s.IDs. The caller holds mu.
func (s *alertSearch) matches(b *Book, r *alertRecord) bool {
	names := b.alerts.names
	at, start := time.UnixMilli(r.at), time.UnixMilli(r.start)
	switch {
	case s.Value != "" && s.key != r.key,
		s.Contains.IsValid() && (r.key.bits == hashed || !r.key.covers(s.contains)),
		!s.Since.IsZero() && at.Before(s.Since),
		!s.Until.IsZero() && !at.Before(s.Until),
		!s.StartedAfter.IsZero() && start.Before(s.StartedAfter),
		!s.StartedBefore.IsZero() && start.After(s.StartedBefore),
		s.Decided && r.live == 0,
		s.Simulated != nil && *s.Simulated != r.simulated,
		!s.scopes.has(names, r.scope), !s.kinds.has(names, r.kind), !s.machine.has(names, r.machine):
		return false
	}
	return s.matchesLed(b, r)
}

// matchesLed is matches for what the decisions of an alert have a say in.
func (s *alertSearch) matchesLed(b *Book, r *alertRecord) bool {
	names := b.alerts.names
	if s.InForce != nil && !*s.InForce && r.leads > 0 {
		return false
	}
	if s.HideLists && (s.told.kinds.has(names, r.kind) || s.told.scopes.has(names, r.scope)) {
		return false
	}
	scenario, one, force := s.scenarios.has(names, r.scenario), !s.led, s.InForce == nil || !*s.InForce
	if scenario && one && force && !s.HideLists {
		return true
	}
	for l := range b.alerts.led(r) {
		if s.HideLists && s.told.origins.has(names, l.origin) {
			return false
		}
		scenario = scenario || s.scenarios.has(names, l.scenario)
		one = one || s.takesOne(names, l)
		force = force || b.inForce(l.id, s.now)
	}
	return scenario && one && force
}

// takesOne reports whether a decision of an alert is as wanted.
func (s *alertSearch) takesOne(names *names, l *led) bool {
	return s.one.kinds.has(names, l.kind) && s.one.origins.has(names, l.origin) &&
		(!s.one.prefix.IsValid() || l.target && s.one.fits(l.key))
}

// inForce reports whether a decision is in force. The caller holds mu.
func (b *Book) inForce(id, now int64) bool {
	r := b.index.byNumber(id)
	return r != nil && r.until > now && !r.suppressed
}

// Alerts returns the alerts that match f, the newest first. Only what it returns is
// read from the disk.
func (b *Book) Alerts(f AlertFilter) []event.Alert {
	out := []event.Alert{}
	for a := range b.AlertSeq(f) {
		out = append(out, a)
	}
	return out
}

// AlertSeq yields what Alerts returns, and reads one after the other. No lock is held
// while it yields. The sequence can be used more than once; each time it asks anew.
func (b *Book) AlertSeq(f AlertFilter) iter.Seq[event.Alert] {
	return func(yield func(event.Alert) bool) {
		for _, id := range b.foundAlerts(f.compile(b.alerts.keys, b.o.Now())) {
			if a, ok := b.readAlert(id); ok && !yield(a) {
				return
			}
		}
	}
}

// foundAlerts returns the ids of the alerts that match s, in its order.
func (b *Book) foundAlerts(s *alertSearch) []int64 {
	limit := s.Limit
	switch {
	case limit == 0:
		limit = defaultAlertLimit
	case limit < 0:
		limit = -1
	}
	var hits []int64
	if len(s.IDs) > 0 {
		hits = b.namedAlerts(s)
	} else {
		var last dated
		for more := true; more && len(hits) != limit; {
			hits, more = b.scanAlerts(s, &last, hits, limit)
		}
	}
	if limit >= 0 {
		hits = hits[:min(len(hits), limit)]
	}
	return hits
}

// namedAlerts returns those of s.IDs that match.
func (b *Book) namedAlerts(s *alertSearch) []int64 {
	var found []dated
	b.mu.RLock()
	s.renew(b.alerts.names)
	for _, id := range newIDs(s.IDs) {
		if r := b.alerts.byNumber(id); r != nil && s.matches(b, r) {
			found = append(found, dated{r.at, r.id})
		}
	}
	b.mu.RUnlock()
	slices.SortFunc(found, compareDated)
	if !s.Oldest {
		slices.Reverse(found)
	}
	hits := make([]int64, len(found))
	for i, d := range found {
		hits[i] = d.id
	}
	return hits
}

// scanAlerts appends to hits some that match s, from behind last on, which it moves.
func (b *Book) scanAlerts(s *alertSearch, last *dated, hits []int64, limit int) (_ []int64, more bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.renew(b.alerts.names)
	n := 0
	for r := range b.alerts.beyond(*last, s.Oldest) {
		if n++; n > alertChunk || len(hits) == limit {
			return hits, true
		}
		*last = dated{r.at, r.id}
		if s.matches(b, r) {
			hits = append(hits, r.id)
		}
	}
	return hits, false
}
