package decisions

import (
	"errors"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Scopes that the journal knows by name; any other text is a scope of a
// scenario's own. CrowdSec compatible: names and spelling.
const (
	ScopeIP      = "Ip"
	ScopeRange   = "Range"
	ScopeCountry = "Country"
	ScopeAS      = "AS"
)

// Types of decisions that this node enforces; any other text is kept and listed
// for those who know what it means.
const (
	TypeBan      = "ban"
	TypeCaptcha  = "captcha"
	TypeThrottle = "throttle"
)

// OriginLocal is the origin of what profiles decide. CrowdSec compatible:
// bouncers and the console tell own detections by it.
const OriginLocal = "crowdsec"

var (
	// ErrTooWide is in the chain when a decision would cover more than a /8
	// (IPv4) or a /16 (IPv6).
	ErrTooWide = errors.New("range too wide")
	// ErrOver is in the chain when a decision would have ended by now.
	ErrOver = errors.New("decision is over already")
	// ErrNoFilter is in the chain when Delete is called with a filter that
	// says nothing.
	ErrNoFilter = errors.New("empty filter")
	// ErrClosed is in the chain of what is asked of a closed Book.
	ErrClosed = errors.New("journal is closed")
)

// Decision is one measure against one value, until an instant.
type Decision struct {
	ID         int64     `json:"id"`
	UUID       string    `json:"uuid"`
	AlertID    int64     `json:"alert_id,omitempty"`
	IncidentID string    `json:"incident_id,omitempty"`
	Scope      string    `json:"scope"`
	Value      string    `json:"value"` // address, CIDR, country code… in normal form
	Type       string    `json:"type"`
	Origin     string    `json:"origin"`
	Scenario   string    `json:"scenario"`
	Host       string    `json:"host,omitempty"` // site that the events were for
	Created    time.Time `json:"created"`
	Until      time.Time `json:"until"`
	// Direct: the packets came from the value itself, so that acting below
	// HTTP reaches the offender.
	Direct bool `json:"direct,omitempty"`
	// Simulated decisions are listed and announced, never enforced.
	Simulated bool `json:"simulated,omitempty"`
	// Suppressed decisions are against an allowed value: kept, never enforced.
	Suppressed bool `json:"suppressed,omitempty"`
}

// Action returns what the decision's type means for a request.
func (d *Decision) Action() Action {
	switch d.Type {
	case TypeBan:
		return Ban
	case TypeCaptcha:
		return Captcha
	case TypeThrottle:
		return Throttle
	case "":
		return None
	}
	return Other
}

// Prefix returns what an Ip or Range decision covers, an invalid prefix for the
// other scopes.
func (d *Decision) Prefix() netip.Prefix {
	switch d.Scope {
	case ScopeIP:
		if a, err := netip.ParseAddr(d.Value); err == nil {
			a = plain(a)
			return netip.PrefixFrom(a, a.BitLen())
		}
	case ScopeRange:
		if p, err := netip.ParsePrefix(d.Value); err == nil {
			return plainPrefix(p)
		}
	}
	return netip.Prefix{}
}

// enforceable reports whether the decision may be acted upon at all, expiry
// apart.
func (d *Decision) enforceable() bool { return !d.Simulated && !d.Suppressed }

// Action is what is done to a request. Throttle, Captcha and Ban are ordered by
// strength; Other is a type that this node does not know, and the weakest.
type Action uint8

// The actions.
const (
	None Action = iota
	Throttle
	Captcha
	Ban
	Other
)

// String returns the action's name as a decision's type has it.
func (a Action) String() string {
	switch a {
	case Throttle:
		return TypeThrottle
	case Captcha:
		return TypeCaptcha
	case Ban:
		return TypeBan
	case Other:
		return "other"
	}
	return "none"
}

// strength orders actions, the strongest highest.
func (a Action) strength() uint8 {
	if a == Other {
		return 1
	}
	return uint8(a) << 1
}

// Verdict is the answer of a lookup. Instants are in whole milliseconds.
type Verdict struct {
	Action  Action
	ID      int64 // of the decision, 0 where there is none
	Created time.Time
	Until   time.Time
	Direct  bool
	Allowed bool // the address is allowed; Action is None
}

// Journal is the truth about decisions. Book is the one of a single node.
type Journal interface {
	// Append records an alert (nil: none) and its decisions, filling in ids and
	// uuids of both. Decisions that cannot be are left out (ID 0) and named in
	// the error; the others are made.
	Append(a *event.Alert, ds []Decision) error
	// Delete ends what matches f and returns it; by is who wanted it.
	Delete(f Filter, by string) ([]Decision, error)
	// Since returns up to limit changes (0: all) after cursor, oldest first, and
	// the cursor to go on from. Cursor 0 is the beginning: every decision that
	// is in force, and the ends that are remembered.
	Since(cursor int64, limit int) (cs []Change, next int64)
}

// Change is one step of the journal: a decision came into force (or its end
// moved: same ID), or went. A subscriber also drops by itself what is past its
// Until: the end of a decision is announced, but remembered for a day, or until that,
// only.
//
// What is in force may be told again unchanged: a decision that was prolonged when an
// end comes that was told before, and all that is left of a value when one of its
// decisions ends. Some subscribers take no notice of a later end, or forget all of a
// value at once.
type Change struct {
	Cursor int64
	Gone   bool
	Reset  bool // cursor too old: forget everything; Decision is empty
	// At is when the decision came into force, was prolonged, was told again or ended,
	// in whole milliseconds. It holds across a restart, and never falls from one
	// Change to the next.
	At time.Time
	// Shadowed: another decision in force, the entry of a list perhaps, of the same
	// scope, value and type lasts longer, or as long and has a lower ID. Of one that is
	// Gone: there is another at all. Simulated and suppressed ones are no such other.
	Shadowed bool
	// Due is when one that is Gone was to end.
	Due      time.Time
	Decision Decision // Gone: Until is when it ended, also if it was to last longer
}

// Filter selects decisions; what is empty does not restrict.
type Filter struct {
	ID                                   int64
	Value, Scope, Type, Origin, Scenario string
	Contains                             netip.Addr // decisions that cover it
	Active                               bool       // in force: neither over nor suppressed
	Simulated                            *bool
}

func (f *Filter) empty() bool { return *f == Filter{} }
