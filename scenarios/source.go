package scenarios

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/rampart-edge/rampart/event"
)

// ErrNoSource says that nothing in an overflow names who did it.
var ErrNoSource = errors.New("no event of the overflow names a source")

// sourcesOf finds who ev is about in the scope of s. CrowdSec compatible: a line
// has one source; an overflow that is poured again has those of its own that fit
// the scope, and addresses become ranges where the scope is Range. The result
// uses the memory of out.
func (s *Scenario) sourcesOf(ev *event.Event, out []event.Source) ([]event.Source, error) {
	if ev.Type == event.OverflowType {
		return s.overflowSources(ev, out)
	}
	value := ""
	if s.scopeValue != nil {
		v, err := s.scopeOf(ev)
		if err != nil {
			return out, fmt.Errorf("evaluating the scope of %s: %w", s.Name, err)
		}
		value = v
	}
	if s.Scope != ScopeIP && s.Scope != ScopeRange {
		return append(out, event.Source{Scope: s.Scope, Value: value}), nil
	}
	ip := ev.Meta["source_ip"]
	if _, err := netip.ParseAddr(ip); err != nil {
		return out, fmt.Errorf("reading source_ip: %w", err)
	}
	src := event.Source{
		Scope: s.Scope, IP: ip, Value: value,
		AsNumber: ev.Enriched["ASNumber"], AsName: ev.Enriched["ASNOrg"], Cn: ev.Enriched["IsoCode"],
		Latitude: degrees(ev.Enriched["Latitude"]), Longitude: degrees(ev.Enriched["Longitude"]),
	}
	if src.AsNumber == "" {
		src.AsNumber = ev.Enriched["ASNNumber"]
	}
	if text := ev.Meta["SourceRange"]; text != "" {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return out, fmt.Errorf("reading SourceRange: %w", err)
		}
		src.Range = p.Masked().String()
	}
	switch {
	case s.Scope == ScopeIP:
		src.Value = ip
	case s.scopeValue == nil:
		src.Value = src.Range
	}
	return append(out, src), nil
}

func (s *Scenario) overflowSources(ev *event.Event, out []event.Source) ([]event.Source, error) {
	for _, key := range ev.Overflow.GetSources() {
		src := *ev.Overflow.Sources[key]
		switch {
		case src.Scope == s.Scope:
		case src.Scope == ScopeIP && s.Scope == ScopeRange:
			src.Scope, src.IP, src.Value = ScopeRange, "", src.Range
			if s.scopeValue != nil {
				v, err := s.scopeOf(ev)
				if err != nil {
					return out, fmt.Errorf("evaluating the scope of %s: %w", s.Name, err)
				}
				src.Range, src.Value = v, v
			}
			if src.Value == "" {
				continue
			}
		default:
			continue
		}
		out = append(out, src)
	}
	if len(out) == 0 {
		return out, ErrNoSource
	}
	return out, nil
}

func degrees(text string) float32 {
	if text == "" {
		return 0
	}
	f, err := strconv.ParseFloat(text, 32)
	if err != nil {
		return 0
	}
	return float32(f)
}
