package scenarios

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// Types of scenario.
const (
	Leaky   = "leaky"
	Trigger = "trigger"
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
	Type        string // Leaky or Trigger
	Hash        string // lower-case SHA-256 of the file; "" for the operator's own
	Version     string
	Path        string
	Filter      string // as written: it is part of the bucket's key
	GroupBy     string
	Capacity    int // how many events the bucket holds; 0 for a trigger
	CacheSize   int
	LeakSpeed   time.Duration // in which one event leaks out
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
	keep           int // samples: at most this many
	// sparing: far more events fit than an alert shows, so that most samples are not
	// needed. They are made under the lock then, which runs no expression.
	sparing bool
}

// Life is how long a bucket lives after its last pour. CrowdSec compatible:
// (capacity+1) × leakspeed; a trigger has no life.
func (s *Scenario) Life() time.Duration { return s.life }

// Keep is how many events an alert shows at most: the newest capacity+1, or
// cache_size+1 where that is smaller. CrowdSec compatible.
func (s *Scenario) Keep() int { return s.keep }

// Distinct reports whether the scenario counts distinct values only.
func (s *Scenario) Distinct() bool { return s.distinct != nil && s.Type != Trigger }

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
	return list
}

// seal computes what follows from the exported fields.
func (s *Scenario) seal(spec *Spec) {
	s.leak = newLeak(s.Capacity, s.LeakSpeed)
	s.keep = s.Capacity + 1
	if s.CacheSize > 0 && s.CacheSize <= s.Capacity {
		s.keep = s.CacheSize + 1
	}
	s.sparing = s.keep <= s.Capacity && s.scopeValue == nil
	if s.Type == Leaky {
		s.life = time.Duration(s.Capacity+1) * s.LeakSpeed
	}
	// What only shows in alerts, such as labels, is left out, so that editing it
	// does not empty the buckets.
	sum := sha256.Sum256([]byte(strings.Join([]string{
		s.Type, s.Name, s.Filter, s.GroupBy, strconv.Itoa(s.Capacity), s.LeakSpeed.String(),
		s.Blackhole.String(), strconv.Itoa(s.CacheSize), spec.Distinct, spec.CancelOn,
		spec.OverflowFilter, s.Scope, spec.Scope.Expression,
	}, "\x00")))
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
