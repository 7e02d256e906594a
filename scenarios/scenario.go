package scenarios

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// Types of scenario.
const (
	Leaky       = "leaky"       // overflows when events come faster than they leak
	Trigger     = "trigger"     // overflows with every event
	Counter     = "counter"     // overflows when its duration is over
	Conditional = "conditional" // overflows when its condition holds of the events in it
	Bayesian    = "bayesian"    // overflows when its conditions make an attack probable
)

// Names of the scopes that have rules of their own.
const (
	ScopeIP    = "Ip"
	ScopeRange = "Range"
)

// Scenario is one compiled document. It is immutable and safe to share.
type Scenario struct {
	Name        string
	Description string
	Type        string // Leaky, Trigger, Counter, Conditional or Bayesian
	Hash        string // lower-case SHA-256 of the file; "" for the operator's own
	Version     string
	Path        string
	Filter      string // as written: it is part of the bucket's key
	GroupBy     string
	Capacity    int // how many events the bucket holds; 0 for a trigger, -1 without a bound
	CacheSize   int
	LeakSpeed   time.Duration // in which one event leaks out
	Duration    time.Duration // after which the bucket overflows; 0: it does not
	Blackhole   time.Duration // after an overflow, in which the key makes no other
	Labels      map[string]any
	Remediation bool
	Reprocess   bool
	Scope       string
	Fingerprint string // hex; equal for two scenarios whose buckets mean the same

	id             [16]byte // of the fingerprint
	filter         *expression.Program
	groupBy        *text // nil: none
	distinct       *text
	cancelOn       *expression.Program
	overflowFilter *expression.Program
	scopeValue     *expression.Program
	leak           leak
	life           time.Duration
	judge          *judge // nil: nothing is asked after a pour
	limit          int    // one less than the events it holds; -1: without a bound
	keep           int    // samples: at most this many
	// spares: far more events fit than an alert shows, so that most samples are not
	// needed; sparing: they are made under the lock then, which runs no expression.
	spares, sparing bool
}

// Timed reports whether buckets have a deadline: then they live until that, however
// many events come, and overflow.
func (s *Scenario) Timed() bool { return s.Duration > 0 && s.Type != Trigger }

// Life is how long a bucket lives after its last pour, and one with a duration
// after its first. CrowdSec compatible: (capacity+1) × leakspeed for a leaky bucket,
// one leakspeed for a conditional or bayesian one, even where it has a duration;
// else the duration. A trigger has no life.
func (s *Scenario) Life() time.Duration { return s.life }

// Keep is how many events an alert shows at most: the newest capacity+1, or
// cache_size+1 where that is smaller. CrowdSec compatible, but for capacity -1: all
// events there, the newest 1000 here.
func (s *Scenario) Keep() int { return s.keep }

// Distinct reports whether the scenario counts distinct values only.
func (s *Scenario) Distinct() bool { return s.distinct != nil && s.Type != Trigger }

// Shareable reports whether the scenario's buckets can be kept elsewhere: all but
// those whose conditions read events in ways that cannot be named.
func (s *Scenario) Shareable() bool { return s.judge == nil || !s.judge.whole }

// ID is the fingerprint, shortened: it is the same on every node that has the same
// scenario.
func (s *Scenario) ID() [16]byte { return s.id }

// Credit returns the numbers of a leaky scenario's live arithmetic, in microseconds:
// what an empty bucket has, and what one event takes. Both are 0 for other types.
func (s *Scenario) Credit() (full, each int64) { return s.leak.full, s.leak.each }

// Judged reports whether a condition or a bayesian network is asked after each pour.
func (s *Scenario) Judged() bool { return s.judge != nil }

// Queued reports whether what is asked then looks at earlier events.
func (s *Scenario) Queued() bool { return s.judge != nil && s.judge.queued }

// Limit is how many events conditions look at, less one: the queue has the newest
// Limit+1. -1: it has no bound of its own, and Keep is the bound.
func (s *Scenario) Limit() int { return s.limit }

// Filtered reports whether the scenario has an overflow_filter.
func (s *Scenario) Filtered() bool { return s.overflowFilter != nil }

// MapKey returns the name of the bucket for a groupby result. CrowdSec
// compatible: hex SHA-1 of filter text, result and name with NUL between.
func (s *Scenario) MapKey(group string) string {
	h := sha1.New()
	h.Write([]byte(s.Filter + "\x00" + group + "\x00" + s.Name))
	return hex.EncodeToString(h.Sum(nil))
}

// programs returns what is run on events; a nil one is absent.
func (s *Scenario) programs() []*expression.Program {
	list := []*expression.Program{s.filter, s.cancelOn, s.scopeValue}
	for _, t := range []*text{s.groupBy, s.distinct} {
		if t != nil {
			list = append(list, t.program)
		}
	}
	if s.judge != nil {
		list = append(list, s.judge.programs()...)
	}
	return list
}

// seal computes what follows from the exported fields.
func (s *Scenario) seal(spec *Spec) {
	s.limit = s.Capacity
	if s.CacheSize > 0 && (s.CacheSize <= s.Capacity || s.Capacity == -1) {
		s.limit = s.CacheSize
	}
	if s.keep = s.limit + 1; s.limit < 0 {
		s.keep = mostKept
	}
	switch s.Type {
	case Leaky:
		s.leak = newLeak(s.Capacity, s.LeakSpeed)
		if s.life = s.Duration; s.life == 0 {
			s.life = time.Duration(s.Capacity+1) * s.LeakSpeed
		}
	case Counter:
		s.life = s.Duration
	case Conditional, Bayesian:
		s.life = s.LeakSpeed
	}
	if s.judge != nil {
		s.judge.seal()
	}
	s.spares = s.Type == Leaky && s.keep <= s.Capacity && s.judge == nil && !s.Timed()
	s.sparing = s.spares && s.scopeValue == nil
	// What only shows in alerts, such as labels, is left out, so that editing it
	// does not empty the buckets.
	parts := []string{
		s.Type, s.Name, s.Filter, s.GroupBy, strconv.Itoa(s.Capacity), s.LeakSpeed.String(),
		s.Blackhole.String(), strconv.Itoa(s.CacheSize), spec.Distinct, spec.CancelOn,
		spec.OverflowFilter, s.Scope, spec.Scope.Expression,
	}
	// Keys that came later count only where they are used: buckets outlive an update.
	if s.Duration > 0 || s.judge != nil {
		parts = append(parts, s.Duration.String(), spec.Condition,
			fmt.Sprint(spec.BayesianPrior, spec.BayesianThreshold, spec.BayesianConditions))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	copy(s.id[:], sum[:])
	s.Fingerprint = hex.EncodeToString(sum[:])
}

// scopeOf evaluates the scope expression. CrowdSec compatible: what is not a text
// is "".
func (s *Scenario) scopeOf(ev *event.Event) (string, error) {
	v, err := s.scopeValue.Any(&expression.Vars{Evt: ev})
	if err != nil {
		return "", err
	}
	text, _ := v.(string)
	return text, nil
}
