package parsers

import (
	"encoding/json"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// method is an enricher: it gets the static's value and writes what it finds.
type method func(r *run, value string)

// methods returns the enricher of a name, nil for a name that nobody knows.
// The lookups that need a database or the network find nothing here.
func methods(name string) method {
	switch name {
	case "ParseDate":
		return parseDateMethod
	case "UnmarshalJSON":
		return unmarshalLine
	case "GeoIpCity", "GeoIpASN", "IpToRange":
		return func(*run, string) {}
	}
	return nil
}

// parseDateMethod writes Enriched.MarshaledTime. In replay the event happened
// then; live, evt.Time stays the instant at which the line was read. Empty and
// unreadable dates become now, which moves no event.
func parseDateMethod(r *run, value string) {
	o := &r.p.options
	now := o.Now()
	t, yearless, ok := parseDate(value, r.ev.StrTimeFormat, o.Location, now, r.p.plain)
	if yearless && o.FixYear && t.After(now.Add(24*time.Hour)) {
		t = t.AddDate(-1, 0, 0)
	}
	if ok && r.ev.ExpectMode == event.Replay {
		r.ev.Time = t
	}
	r.ev.SetEnriched("MarshaledTime", t.Format(time.RFC3339Nano))
}

// unmarshalLine decodes the raw line into evt.Unmarshaled.
func unmarshalLine(r *run, _ string) {
	if r.ev.Unmarshaled == nil {
		r.ev.Unmarshaled = map[string]any{}
	}
	if err := json.Unmarshal([]byte(r.ev.Line.Raw), &r.ev.Unmarshaled); err != nil {
		r.debug("line is no JSON object", "UnmarshalJSON", err)
	}
}
