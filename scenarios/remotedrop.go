package scenarios

import (
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Drop makes a pour that its keeper could not take into a drop again, for a Memory.
// Its event is what the sample has of it; a distinct value has become another text,
// the same for the same.
func (r *Remote) Drop(p *Pour) Drop {
	ev := &event.Event{From: event.Provenance{
		Direct: p.Direct, Detect: p.Detect, Width64: p.Width64, Site: p.Site, Incident: p.Incident, Depth: p.Depth,
	}}
	if s, ok := decodeSample(p.Sample); ok {
		from := ev.From
		ev = s.event()
		ev.From = from
		ev.Enriched = enrichedBy(&s.Source)
		if ev.Meta["source_ip"] == "" && s.Source.IP != "" {
			ev.Meta["source_ip"] = s.Source.IP
		}
	}
	return Drop{
		Scenario: p.Scenario, Key: p.Group, At: time.UnixMicro(p.At).UTC(), Count: p.Count, Event: ev, Cancel: p.Cancel,
		Distinct: strconv.FormatUint(p.Distinct, 16), Uncompared: !p.Compare,
	}
}

// enrichedBy is what of an event's Enriched its source tells.
func enrichedBy(s *event.Source) map[string]string {
	m := map[string]string{}
	for k, v := range map[string]string{"ASNumber": s.AsNumber, "ASNOrg": s.AsName, "IsoCode": s.Cn} {
		if v != "" {
			m[k] = v
		}
	}
	if s.Latitude != 0 || s.Longitude != 0 {
		m["Latitude"] = strconv.FormatFloat(float64(s.Latitude), 'f', -1, 32)
		m["Longitude"] = strconv.FormatFloat(float64(s.Longitude), 'f', -1, 32)
	}
	return m
}
