package localapi

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	maxQueryValues = 1000 // texts of one list in a query
	maxVerdicts    = 4096 // scenarios whose fate a selection remembers
)

// selection is what a request wants of the decisions in force.
type selection struct {
	decisions.Query
	// narrow: origin or scenario restrict it, so that the Book's word on what lasts
	// longest may be about a decision that is not wanted.
	narrow bool
	every  bool // of like decisions all, not the longest alone
	// seen remembers which scenarios are wanted. There are few.
	seen map[string]bool
}

// readSelection reads the filters that bouncers use, in GET /v1/decisions and in the
// stream.
//
// CrowdSec compatible: names and habits, unknown keys ignored. Unlike there what
// cannot be read is answered 400: clients take 500 for a reason to log in again.
func readSelection(v url.Values) (*selection, error) {
	if err := refuseEmpty(v, "ip", "range", "value", "type", "scope", "scopes", "origins"); err != nil {
		return nil, err
	}
	s := &selection{seen: map[string]bool{}}
	s.Scopes = canonicalScopes(append(words(v, "scopes"), words(v, "scope")...))
	s.Origins, s.Contains, s.Lacks = words(v, "origins"), words(v, "scenarios_containing"), words(v, "scenarios_not_containing")
	for _, list := range [][]string{s.Scopes, s.Origins, s.Contains, s.Lacks} {
		if len(list) > maxQueryValues {
			return nil, fail(http.StatusBadRequest, "%d values in one filter, at most %d fit", len(list), maxQueryValues)
		}
	}
	lower(s.Contains)
	lower(s.Lacks)
	s.narrow = len(s.Origins)+len(s.Contains)+len(s.Lacks) > 0
	if t := v.Get("type"); t != "" {
		if low := strings.ToLower(t); rankOf(low) < ranks-1 {
			t = low // decisions have those that are enforced in lower case
		}
		s.Types = []string{t}
	}
	s.Value = v.Get("value")
	if p, err := parsePrefix(s.Value); err == nil {
		s.Value = string(appendTarget(nil, p))
	}
	// CrowdSec compatible: whatever is not false includes them.
	s.Simulated = v.Has("simulated") && v.Get("simulated") != "false"
	var err error
	s.Prefix, s.Within, err = readPrefix(v)
	return s, err
}

// refuseEmpty refuses keys that are there without a value: who writes one means
// something else than all. CrowdSec finds nothing for most of them.
func refuseEmpty(v url.Values, keys ...string) error {
	for _, key := range keys {
		for _, text := range v[key] {
			if strings.Trim(text, ", ") == "" {
				return fail(http.StatusBadRequest, "filter %.100q has no value; leave it out if all are meant", key)
			}
		}
	}
	return nil
}

// readPrefix reads ip, range and contains.
func readPrefix(v url.Values) (p netip.Prefix, within bool, err error) {
	if text := v.Get("contains"); text != "" {
		contains, err := strconv.ParseBool(text)
		if err != nil {
			return p, false, fail(http.StatusBadRequest, "invalid contains value %.100q: expected true or false", text)
		}
		within = !contains
	}
	for _, key := range []string{"ip", "range"} { // the same to CrowdSec
		text := v.Get(key)
		if text == "" {
			continue
		}
		other := p
		if p, err = parsePrefix(text); err != nil {
			return p, false, fail(http.StatusBadRequest, "%v", err)
		}
		if other.IsValid() && other != p {
			return p, false, fail(http.StatusBadRequest, "ip and range are two names of one filter; leave one of them out")
		}
	}
	return p, within, nil
}

// parsePrefix reads an address or a range.
func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid ip address or range %.100q", text)
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// words are the values of a key, each a list with commas.
func words(v url.Values, key string) []string {
	var out []string
	for _, text := range v[key] {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" && len(out) <= maxQueryValues {
				out = append(out, part)
			}
		}
	}
	return out
}

func lower(list []string) {
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
}

// canonicalScope writes a scope as decisions have it. CrowdSec compatible: four are
// known in any case, the others are taken as they are.
func canonicalScope(s string) string {
	for _, known := range []string{decisions.ScopeIP, decisions.ScopeRange, decisions.ScopeCountry, decisions.ScopeAS} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	return s
}

func canonicalScopes(list []string) []string {
	for i := range list {
		list[i] = canonicalScope(list[i])
	}
	return list
}

// number reads a whole number that is not negative; absent it is 0.
func number(v url.Values, key string) (int64, error) {
	text := v.Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fail(http.StatusBadRequest, "invalid %s value %.100q: expected a number from 0", key, text)
	}
	return n, nil
}

// wants reports whether a decision is one of the selection, wherever in force.
func (s *selection) wants(d *decisions.Decision) bool {
	switch {
	case d.Simulated && !s.Simulated,
		len(s.Scopes) > 0 && !slices.Contains(s.Scopes, d.Scope),
		len(s.Types) > 0 && !slices.Contains(s.Types, d.Type),
		s.Value != "" && s.Value != d.Value:
		return false
	}
	if s.narrow {
		origin, scenario := cause(d.Origin, d.Scenario)
		if len(s.Origins) > 0 && !slices.Contains(s.Origins, origin) || !s.wantsScenario(scenario) {
			return false
		}
	}
	return !s.Prefix.IsValid() || s.wantsPrefix(d.Prefix())
}

func (s *selection) wantsPrefix(p netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	outer, inner := p, s.Prefix
	if s.Within {
		outer, inner = inner, outer
	}
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func (s *selection) wantsScenario(name string) bool {
	if wanted, known := s.seen[name]; known {
		return wanted
	}
	low := strings.ToLower(name)
	in := func(part string) bool { return strings.Contains(low, part) }
	wanted := (len(s.Contains) == 0 || slices.ContainsFunc(s.Contains, in)) && !slices.ContainsFunc(s.Lacks, in)
	if len(s.seen) < maxVerdicts {
		s.seen[strings.Clone(name)] = wanted
	}
	return wanted
}
