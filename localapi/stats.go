package localapi

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxCallers bounds the figures by bouncer and by machine. Callers beyond it are
// counted together, as otherCaller.
const (
	maxCallers  = 20_000
	otherCaller = "other"
)

// DurationBounds are the upper ends of the buckets of Duration, in seconds.
// CrowdSec compatible.
var DurationBounds = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1}

// Stats are the server's figures since New, sorted. Routes are patterns, never what
// a client wrote; requests outside all of them are of route invalid-endpoint.
type Stats struct {
	Routes   []RouteCount
	Bouncers []CallerCount
	Machines []CallerCount
	Lookups  []LookupCount
	// Durations are from the request's head to the end of the answer. Those of
	// calls that wait for news on purpose count with their waiting.
	Durations []Duration
	// Panics are failures of a handler.
	Panics uint64
	// Refused are calls whose key, token or certificate opened nothing.
	Refused uint64
	// Limited are logins and registrations that were told to come later.
	Limited uint64
}

// RouteCount counts requests of a route, whoever sent them.
type RouteCount struct {
	Route, Method string
	N             uint64
}

// CallerCount counts requests that one bouncer or machine may make and made.
type CallerCount struct {
	Caller, Route, Method string
	N                     uint64
}

// LookupCount counts live lookups of a bouncer: OK gave a decision, KO none.
type LookupCount struct {
	Bouncer string
	OK, KO  uint64
}

// Duration is a histogram. Buckets[i] counts calls of at most DurationBounds[i]
// that are longer than the bound before; Count counts all, Sum is in seconds.
type Duration struct {
	Route, Method string
	Buckets       [len(DurationBounds)]uint64
	Count         uint64
	Sum           float64
}

type callerKey struct{ caller, route, method string }

type routeKey struct{ route, method string }

// stats are the figures in the making.
type stats struct {
	mu        sync.Mutex
	routes    map[routeKey]uint64
	bouncers  map[callerKey]uint64
	machines  map[callerKey]uint64
	lookups   map[string]*LookupCount
	durations map[routeKey]*Duration
	failing   map[routeKey]bool
	panics    uint64
	refused   uint64
	limited   uint64
}

func newStats() *stats {
	return &stats{
		routes: map[routeKey]uint64{}, bouncers: map[callerKey]uint64{}, machines: map[callerKey]uint64{},
		lookups: map[string]*LookupCount{}, durations: map[routeKey]*Duration{}, failing: map[routeKey]bool{},
	}
}

// missed counts a request that no route answers.
func (s *stats) missed(method string) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = otherCaller
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[routeKey{invalidEndpoint, method}]++
}

// called counts a request by who sent it.
func (s *stats) called(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.bouncer != nil {
		count(s.bouncers, callerKey{c.bouncer.Name, c.route.pattern, c.route.method})
	}
	if c.machine != nil {
		count(s.machines, callerKey{c.machine.Name, c.route.pattern, c.route.method})
	}
}

func count(m map[callerKey]uint64, k callerKey) {
	if _, ok := m[k]; !ok && len(m) >= maxCallers {
		k.caller = otherCaller
	}
	m[k]++
}

// lookup counts a live lookup of a bouncer.
func (s *stats) lookup(bouncer string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lookups[bouncer]
	if l == nil && len(s.lookups) >= maxCallers {
		bouncer = otherCaller
		l = s.lookups[bouncer]
	}
	if l == nil {
		l = &LookupCount{Bouncer: bouncer}
		s.lookups[bouncer] = l
	}
	if found {
		l.OK++
	} else {
		l.KO++
	}
}

// ended counts a request by route and adds its duration. Those for health are
// nobody's business.
// CrowdSec compatible.
func (s *stats) ended(r *route, d time.Duration) {
	if r.pattern == healthPattern {
		return
	}
	k := routeKey{r.pattern, r.method}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[k]++
	h := s.durations[k]
	if h == nil {
		h = &Duration{Route: k.route, Method: k.method}
		s.durations[k] = h
	}
	h.Count++
	h.Sum += d.Seconds()
	for i, bound := range DurationBounds {
		if d.Seconds() <= bound {
			h.Buckets[i]++
			break
		}
	}
}

// panicked tells whether it is the route's first failure.
func (s *stats) panicked(r *route) bool {
	k := routeKey{r.pattern, r.method}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panics++
	first := !s.failing[k]
	s.failing[k] = true
	return first
}

// failed counts errors that say something of the caller.
func (s *stats) failed(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		s.refused++
	case http.StatusTooManyRequests:
		s.limited++
	}
}

func (s *stats) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Panics: s.panics, Refused: s.refused, Limited: s.limited,
		Bouncers: callers(s.bouncers), Machines: callers(s.machines)}
	for k, n := range s.routes {
		out.Routes = append(out.Routes, RouteCount{k.route, k.method, n})
	}
	for _, l := range s.lookups {
		out.Lookups = append(out.Lookups, *l)
	}
	for _, d := range s.durations {
		out.Durations = append(out.Durations, *d)
	}
	slices.SortFunc(out.Routes, func(a, b RouteCount) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method))
	})
	slices.SortFunc(out.Lookups, func(a, b LookupCount) int { return cmp.Compare(a.Bouncer, b.Bouncer) })
	slices.SortFunc(out.Durations, func(a, b Duration) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method))
	})
	return out
}

func callers(m map[callerKey]uint64) []CallerCount {
	var list []CallerCount
	for k, n := range m {
		list = append(list, CallerCount{k.caller, k.route, k.method, n})
	}
	slices.SortFunc(list, func(a, b CallerCount) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method))
	})
	return list
}
