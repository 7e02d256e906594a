package scenarios

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

var errNoText = errors.New("groupby gave something other than a text")

// Rules is an immutable list of scenarios with an index. Only its counters of
// failed expressions move.
type Rules struct {
	all    []*Scenario
	owners []*Scenario           // whose bucket each one fills
	writes []bool                // its expressions may change the event
	rests  []*expression.Program // what filters ask beyond what the index knows
	index  index
	phases [3]set
	faults []fails
	pool   sync.Pool // *round
}

// fails counts what went wrong while one scenario looked at events.
type fails struct {
	count atomic.Int64
	last  atomic.Pointer[error]
}

// note counts n of them, the last one with err.
func (f *fails) note(n int, err error) {
	f.last.Store(&err)
	f.count.Add(int64(n))
}

// of returns the failure of s; false: there was none.
func (f *fails) of(s *Scenario) (Failure, bool) {
	n := f.count.Load()
	if n == 0 {
		return Failure{}, false
	}
	return Failure{s, n, *f.last.Load()}, true
}

// byName puts failures in order of their scenarios' names.
func byName(a, b Failure) int { return strings.Compare(a.Scenario.Name, b.Scenario.Name) }

// Failure says how often the expressions of a scenario failed at run time. A
// filter or groupby that fails is no match.
type Failure struct {
	Scenario *Scenario
	Count    int64
	Last     error
}

// round is the memory of one Drops.
type round struct {
	left     set // the rules that may match
	admitted set // those for which something was found
	vars     expression.Vars
	memo     expression.Memo
}

// NewRules makes rules of a list, whose order counts: of scenarios with equal name
// and filter the first one owns the buckets, and an event is poured there once for
// each of them. CrowdSec compatible: its buckets are named by these two.
func NewRules(list []*Scenario) *Rules {
	r := &Rules{
		all: slices.Clone(list), owners: make([]*Scenario, len(list)), writes: make([]bool, len(list)),
		rests: make([]*expression.Program, len(list)), faults: make([]fails, len(list)), index: newIndex(list),
	}
	type name struct{ name, filter string }
	first := map[name]*Scenario{}
	for i, s := range r.all {
		k := name{s.Name, s.Filter}
		if first[k] == nil {
			first[k] = s
		}
		r.owners[i] = first[k]
		if r.rests[i] = s.filter; !s.filter.Plain() {
			r.rests[i] = s.filter.Rest()
		}
		for _, p := range append(s.programs(), r.owners[i].programs()...) {
			r.writes[i] = r.writes[i] || p != nil && p.Reads().Writes
		}
	}
	none := newSet(len(list))
	r.phases = [3]set{Whole: r.index.all, Request: none, Response: r.index.all}
	return r
}

// All returns the scenarios in order.
func (r *Rules) All() []*Scenario { return slices.Clone(r.all) }

// WithRequestPhase returns the same rules, with those scenarios marked as ready
// before the response that read no path in response (such as "Meta.http_status"),
// nothing that cannot be named, change nothing and ask no other machine. Those that share a bucket are
// marked together or not at all.
func (r *Rules) WithRequestPhase(response map[string]bool) *Rules {
	ready := map[*Scenario]bool{}
	for i, s := range r.all {
		o := r.owners[i]
		before, seen := ready[o]
		ready[o] = (before || !seen) && requestSide(s, response) && requestSide(o, response)
	}
	out := &Rules{
		all: r.all, owners: r.owners, writes: r.writes, rests: r.rests, index: r.index,
		faults: make([]fails, len(r.all)),
		phases: [3]set{Whole: r.index.all, Request: newSet(len(r.all)), Response: newSet(len(r.all))},
	}
	for i := range r.all {
		if ready[r.owners[i]] {
			out.phases[Request].add(i)
		} else {
			out.phases[Response].add(i)
		}
	}
	return out
}

// Remote reports whether an expression of some scenario asks another machine, which
// may take seconds.
func (r *Rules) Remote() bool { return slices.ContainsFunc(r.all, (*Scenario).remote) }

func (s *Scenario) remote() bool {
	for _, p := range append(s.programs(), s.overflowFilter) {
		if p != nil && p.Reads().Remote {
			return true
		}
	}
	return false
}

func requestSide(s *Scenario, response map[string]bool) bool {
	if s.remote() {
		return false
	}
	for _, p := range s.programs() {
		if p == nil {
			continue
		}
		reads := p.Reads()
		if reads.Opaque || reads.Writes {
			return false
		}
		for _, path := range reads.Paths {
			if touches(path, response) {
				return false
			}
		}
	}
	return true
}

// touches reports whether path is in, holds or is held by a path of response.
func touches(path string, response map[string]bool) bool {
	for r, in := range response {
		if in && (r == path || strings.HasPrefix(r, path+".") || strings.HasPrefix(path, r+".")) {
			return true
		}
	}
	return false
}

// RequestPhase returns the scenarios that are ready before the response.
func (r *Rules) RequestPhase() []*Scenario {
	var out []*Scenario
	for i, s := range r.all {
		if r.phases[Request].has(i) {
			out = append(out, s)
		}
	}
	return out
}

// Failures returns the scenarios whose expressions failed, in order.
func (r *Rules) Failures() []Failure {
	var out []Failure
	for i := range r.faults {
		if one, ok := r.faults[i].of(r.all[i]); ok {
			out = append(out, one)
		}
	}
	return out
}

func (r *Rules) failed(n int, err error) { r.faults[n].note(1, err) }

// Drops appends to out what ev pours at the instant at, in the order of the
// scenarios of the phase.
func (r *Rules) Drops(ev *event.Event, ph Phase, at time.Time, out []Drop) []Drop {
	b := r.begin(ev, ph)
	for n := b.left.next(0); n >= 0; n = b.left.next(n + 1) {
		if r.index.admits(n, ev) {
			out = r.drop(n, b, at, out)
		}
		if r.writes[n] {
			// What the index said may no longer hold for those that follow.
			copy(b.left, r.phases[ph])
			r.index.narrow(b)
		}
	}
	r.end(b)
	return out
}

// begin returns a round in which the index has left what ev may be of interest to.
func (r *Rules) begin(ev *event.Event, ph Phase) *round {
	b, ok := r.pool.Get().(*round)
	if !ok {
		b = &round{left: newSet(len(r.all)), admitted: newSet(len(r.all))}
		b.vars.Memo = &b.memo
	}
	b.vars.Evt = ev
	copy(b.left, r.phases[ph])
	r.index.narrow(b)
	return b
}

func (r *Rules) end(b *round) {
	b.vars.Evt = nil
	b.memo.Reset()
	r.pool.Put(b)
}

// drop runs the expressions of one scenario.
func (r *Rules) drop(n int, b *round, at time.Time, out []Drop) []Drop {
	s, owner := r.all[n], r.owners[n]
	ev := b.vars.Evt
	if ok, err := r.rests[n].Bool(&b.vars); err != nil || !ok {
		if err != nil {
			r.failed(n, err)
		}
		return out
	}
	d := Drop{Scenario: owner, At: at, Replay: ev.ExpectMode == event.Replay, Count: 1, Event: ev}
	if s.groupBy != nil {
		key, ok, err := s.groupBy.value(&b.vars)
		if err == nil && !ok {
			err = errNoText
		}
		if err != nil {
			r.failed(n, err)
			return out
		}
		d.Key = key
		if ev.From.Width64 {
			d.Key = widen(key, ev.Meta["source_ip"])
		}
	}
	if owner.Type == Trigger {
		return append(out, d)
	}
	if owner.distinct != nil {
		// CrowdSec compatible: what is not a text counts as "".
		v, _, err := owner.distinct.value(&b.vars)
		if err != nil {
			r.failed(n, err)
			d.Uncompared = true
		}
		d.Distinct = v
	}
	if owner.cancelOn != nil {
		cancel, err := owner.cancelOn.Bool(&b.vars)
		if err != nil {
			r.failed(n, err)
		}
		d.Cancel = cancel && err == nil
	}
	return append(out, d)
}

// widen replaces an IPv6 address in a key by its /64, so that all of it share a
// bucket.
func widen(key, ip string) string {
	if !strings.Contains(ip, ":") || !strings.Contains(key, ip) {
		return key
	}
	net, ok := wide(ip)
	if !ok {
		return key
	}
	return strings.ReplaceAll(key, ip, net.String())
}
