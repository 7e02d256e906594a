package scenarios

import (
	"crypto/sha1"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Event returns the overflow as an event for postoverflows: one alert for each
// source, sorted by value. CrowdSec compatible, with two differences: an event
// without a usable source does not cost the alert as long as another has one, and
// where Width64 is set the addresses of one /64 are one source, the latest.
// Each source is one cell, shared by Sources and its alert, since postoverflows
// write to either.
func (o *Overflow) Event() (*event.Event, error) {
	sources := o.sources()
	if len(sources) == 0 {
		err := ErrNoSource
		if o.sourceless != nil {
			err = fmt.Errorf("%w: %w", err, o.sourceless)
		}
		return nil, fmt.Errorf("alert of %s: %w", o.Scenario.Name, err)
	}
	alert := o.alert(sources)
	ev := &event.Event{
		Type: event.OverflowType, ExpectMode: event.Live, Process: true,
		Time: o.At, MarshaledTime: o.At.Format(time.RFC3339Nano),
		From: event.Provenance{
			Direct: o.Direct, Detect: o.Detect, Site: o.Site, Incident: o.Incident, Width64: o.Width64,
		},
		Overflow: event.RuntimeAlert{
			Mapkey: o.mapkey, Reprocess: o.Scenario.Reprocess,
			Sources: sources, APIAlerts: make([]event.Alert, 0, len(sources)),
		},
	}
	for _, value := range ev.Overflow.GetSources() {
		a := alert
		a.Source = sources[value]
		a.UUID = o.uuid(value)
		ev.Overflow.APIAlerts = append(ev.Overflow.APIAlerts, a)
	}
	ev.Overflow.Alert = &ev.Overflow.APIAlerts[0]
	return ev, nil
}

// sources returns who the samples are about, by value; a later one wins.
func (o *Overflow) sources() map[string]*event.Source {
	found := map[string]*event.Source{}
	var networks map[netip.Prefix]string
	var last *event.Source
	add := func(s *event.Source) {
		if last != nil && *last == *s {
			return // most buckets are about one source
		}
		if net, ok := o.network(s); ok {
			if networks == nil {
				networks = map[netip.Prefix]string{}
			}
			if before, seen := networks[net]; seen {
				delete(found, before)
			}
			networks[net] = s.Value
		}
		own := *s // which postoverflows write to
		last = &own
		found[s.Value] = last
	}
	for i := range o.Samples {
		s := &o.Samples[i]
		if !s.OK {
			continue
		}
		add(&s.Source)
		for j := range s.Others {
			add(&s.Others[j])
		}
	}
	if last == nil {
		for i := range o.spare {
			add(&o.spare[i])
		}
	}
	return found
}

// alertSpace is the name space of the alerts' UUIDs.
const alertSpace = "\x5b\x1f\xc6\x0e\x9a\x3d\x4e\x27\xb4\x81\x7d\x06\xe2\x95\x33\xac"

// uuid names the alert about one source (RFC 9562, version 5): an overflow that is
// concluded a second time, by another node too, gives the same alerts. "" where the
// overflow has no ID.
func (o *Overflow) uuid(source string) string {
	if o.ID == "" {
		return ""
	}
	sum := sha1.Sum([]byte(alertSpace + o.ID + "\x00" + source))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// network returns the /64 that stands for an address.
func (o *Overflow) network(s *event.Source) (netip.Prefix, bool) {
	if !o.Width64 || s.Scope != ScopeIP {
		return netip.Prefix{}, false
	}
	return wide(s.IP)
}

// wide returns the /64 of an IPv6 address.
func wide(text string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Is4In6() {
		return netip.Prefix{}, false
	}
	p, err := a.WithZone("").Prefix(64)
	return p, err == nil
}

func (o *Overflow) alert(sources map[string]*event.Source) event.Alert {
	s := o.Scenario
	a := event.Alert{
		Kind: "crowdsec", Scenario: s.Name, ScenarioHash: s.Hash, ScenarioVersion: s.Version,
		Message:     o.message(sources),
		EventsCount: int32(min(o.Count, math.MaxInt32)),
		StartAt:     o.First.Format(time.RFC3339Nano), StopAt: o.At.Format(time.RFC3339Nano),
		Capacity: int32(min(s.Capacity, math.MaxInt32)), Leakspeed: s.LeakSpeed.String(),
		Simulated: o.Detect, Remediation: s.Remediation,
		Events: make([]event.AlertEvent, 0, len(o.Samples)), Kept: int32(len(o.Samples)),
		IncidentID: o.Incident, ScenarioLabels: s.Labels, Blackhole: s.Blackhole,
		Direct: o.Direct, Site: o.Site, Width64: o.Width64, Stop: o.At,
	}
	a.Meta = o.contexts.meta(o.Samples)
	for i := range o.Samples {
		a.Events = append(a.Events, event.AlertEvent{Timestamp: o.Samples[i].Timestamp, Meta: o.Samples[i].Meta})
	}
	return a
}

// message is the sentence that CrowdSec writes, to the letter.
func (o *Overflow) message(sources map[string]*event.Source) string {
	who := "UNKNOWN"
	switch n := len(sources); n {
	case 0:
	case 1:
		for who = range sources {
			break
		}
	default:
		who = fmt.Sprintf("%d sources", n)
	}
	return fmt.Sprintf("%s %s performed '%s' (%d events over %s) at %s",
		o.Scenario.Scope, who, o.Scenario.Name, o.Count, o.At.Sub(o.First), o.Last)
}
