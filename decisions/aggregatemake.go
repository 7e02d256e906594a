package decisions

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

const (
	// maxNamed is how many members an alert tells as events; its meta names them all,
	// as far as maxMembersText goes.
	maxNamed       = 50
	maxMembersText = 2000
)

// consider bans a range if enough of it is banned and nothing speaks against it.
func (g *Aggregator) consider(p netip.Prefix, now time.Time) {
	members := g.members(p, now)
	if len(members) < g.using.Count {
		return
	}
	if until, ok := g.refused[p]; ok && until.After(now) {
		return
	}
	if g.o.Book.Allow().Overlaps(p) {
		g.stats.spared.Add(1)
		return
	}
	d := Decision{Scope: ScopeRange, Value: p.String(), Type: TypeBan, Origin: OriginAggregate, Scenario: OriginAggregate,
		Created: now, Direct: true, Host: members[0].Host}
	for _, m := range members {
		if m.Until.After(d.Until) {
			d.Until = m.Until
		}
		d.Direct = d.Direct && m.Direct
		if m.Host != d.Host {
			d.Host = ""
		}
	}
	if g.covered(p, d.Until, now) {
		return
	}
	a := g.alert(p, members, now)
	a.Site, a.Direct = d.Host, d.Direct
	ds := []Decision{d}
	if err := g.o.Append(a, ds); err != nil {
		g.stats.failed.Add(1)
		g.o.Logger.Error("banning a range", zap.Stringer("range", p), zap.Error(err))
		return
	}
	if ds[0].ID == 0 {
		return // whoever records it decided otherwise
	}
	g.stats.made.Add(1)
	g.made[ds[0].ID] = ranged{p, ds[0].Until}
	g.o.Logger.Info("range banned, since many of its addresses are", zap.Stringer("range", p), zap.Int("addresses", len(members)),
		zap.Int64("decision", ds[0].ID), zap.Time("until", ds[0].Until))
}

// members are the bans that make up a range, as they are now: of each address the one
// that lasts longest, ordered.
func (g *Aggregator) members(p netip.Prefix, now time.Time) []Decision {
	if len(g.groups[p]) < g.using.Count {
		return nil
	}
	best := map[netip.Prefix]Decision{}
	for id, m := range g.groups[p] {
		for _, d := range g.o.Book.List(Filter{ID: id}) {
			if d.Type == TypeBan && d.enforceable() && d.Until.After(now) && now.Sub(m.at) < g.using.Within && d.Until.After(best[m.unit].Until) {
				best[m.unit] = d
			}
		}
	}
	return slices.SortedFunc(maps.Values(best), func(x, y Decision) int { return x.Prefix().Compare(y.Prefix()) })
}

// covered reports whether a range is banned for about as long anyway. One that lasts
// a tenth longer is worth another alert.
func (g *Aggregator) covered(p netip.Prefix, until, now time.Time) bool {
	enough := until.Add(-until.Sub(now) / 10)
	for _, d := range g.o.Book.List(Filter{Contains: p.Addr(), Type: TypeBan, Active: true}) {
		if q := d.Prefix(); !d.Simulated && q.Bits() <= p.Bits() && !d.Until.Before(enough) {
			return true
		}
	}
	return false
}

// alert tells why a range is banned.
func (g *Aggregator) alert(p netip.Prefix, members []Decision, now time.Time) *event.Alert {
	first := now
	var names []string
	var events []event.AlertEvent
	for _, m := range members {
		first = earlier(first, m.Created)
		names = append(names, m.Value)
		if len(events) < maxNamed {
			events = append(events, event.AlertEvent{Timestamp: m.Created.Format(time.RFC3339), Meta: event.Meta{
				{Key: "decision", Value: fmt.Sprint(m.ID)}, {Key: "scenario", Value: m.Scenario}, {Key: "source_ip", Value: m.Value}}})
		}
	}
	return &event.Alert{Kind: "crowdsec", Scenario: OriginAggregate,
		Message:     fmt.Sprintf("%d addresses of %s were banned within %s", len(members), p, g.using.Within),
		EventsCount: int32(len(members)), Kept: int32(len(events)), Capacity: int32(g.using.Count), Leakspeed: g.using.Within.String(),
		StartAt: first.Format(time.RFC3339Nano), StopAt: now.Format(time.RFC3339Nano), Stop: now, Remediation: true, Events: events,
		Source: &event.Source{Scope: ScopeRange, Value: p.String(), Range: p.String()},
		Meta:   event.Meta{{Key: "members", Value: membersText(names)}}}
}

// membersText is a JSON list of as many names as fit.
func membersText(names []string) string {
	for {
		text, err := json.Marshal(names)
		if err == nil && len(text) <= maxMembersText || len(names) == 0 {
			return string(text)
		}
		names = names[:len(names)*3/4]
	}
}
