package community

import (
	"net/netip"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// maxStream bounds an answer of the stream, in bytes.
	maxStream = 64 << 20
	// maxLength bounds how long anything of the Central API holds; it is told again long
	// before.
	maxLength = 365 * 24 * time.Hour
)

// stream is the answer to GET v3/decisions/stream. CrowdSec compatible.
type stream struct {
	New     []streamGroup   `json:"new"`
	Deleted []streamDeleted `json:"deleted"`
	Links   *streamLinks    `json:"links"` // nil: nothing is said about lists
}

// streamGroup are decisions for one reason.
type streamGroup struct {
	Scenario  string           `json:"scenario"`
	Scope     string           `json:"scope"`
	Decisions []streamDecision `json:"decisions"`
}

// streamDecision is a ban of a value for a length, which is Go duration text.
type streamDecision struct {
	Value    string `json:"value"`
	Duration string `json:"duration"`
}

// streamDeleted are values of which nothing holds any more.
type streamDeleted struct {
	Scope     string   `json:"scope"`
	Decisions []string `json:"decisions"`
}

// streamLinks are the lists that the account is subscribed to.
type streamLinks struct {
	Blocklists []blocklistLink `json:"blocklists"`
	Allowlists []allowlistLink `json:"allowlists"`
}

// blocklistLink is where a blocklist is, and what its entries mean.
type blocklistLink struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Remediation string `json:"remediation"`
	Scope       string `json:"scope"`
	Duration    string `json:"duration"`
}

// allowlistLink is where an allowlist is.
type allowlistLink struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	URL         string `json:"url"`
	Created     string `json:"created_at"` // RFC 3339
	Updated     string `json:"updated_at"`
}

// entries are the bans of an answer with their ends, and how many cannot be on a list:
// those of other scopes, that are too wide, or make no sense.
func (s *stream) entries(now time.Time) (es []ending, skipped int) {
	for _, g := range s.New {
		for _, d := range g.Decisions {
			length, err := parseLength(d.Duration)
			p, ok := target(g.Scope, d.Value)
			if err != nil || !ok {
				skipped++
				continue
			}
			if length > 0 { // else it is over
				es = append(es, newEnding(p, now.Add(length)))
			}
		}
	}
	return es, skipped
}

// gone are the values of which nothing holds any more.
func (s *stream) gone() map[netip.Prefix]bool {
	out := map[netip.Prefix]bool{}
	for _, g := range s.Deleted {
		for _, v := range g.Decisions {
			if p, ok := target(g.Scope, v); ok {
				out[p] = true
			}
		}
	}
	return out
}

// target is what a value of a scope covers, in normal form. A list cannot hold the
// scopes that are no addresses.
func target(scope, value string) (netip.Prefix, bool) {
	if !strings.EqualFold(scope, decisions.ScopeIP) && !strings.EqualFold(scope, decisions.ScopeRange) {
		return netip.Prefix{}, false
	}
	// A range under the scope of addresses is one all the same: deletions of the Central API
	// compare values alone.
	d := decisions.Decision{Value: value, Type: decisions.TypeBan}
	if decisions.Normalise(&d, false) != nil {
		return netip.Prefix{}, false
	}
	return d.Prefix(), true
}

// parseLength reads a duration of the Central API.
func parseLength(s string) (time.Duration, error) {
	d, err := decisions.ParseDuration(s)
	return min(d, maxLength), err
}
