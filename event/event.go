package event

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Kinds of events, as the numbers that expressions see in evt.Type.
const (
	LogType      = 0
	OverflowType = 1
	AppsecType   = 2
)

// Modes of time, as the numbers that expressions see in evt.ExpectMode.
const (
	Live   = 0 // instants come from the wall clock
	Replay = 1 // instants come from the log ("time machine" in CrowdSec)
)

// Event is one line or one request on its way to the buckets, or an overflow on
// its way to the profiles. Its maps are made on first write (SetMeta and
// friends); reading a nil map is fine.
type Event struct {
	Type            int
	ExpectMode      int
	Whitelisted     bool
	WhitelistReason string
	Stage           string // empty: the first stage
	Line            Line
	Parsed          map[string]string
	Enriched        map[string]string
	Unmarshaled     map[string]any
	Meta            map[string]string
	Overflow        RuntimeAlert
	Time            time.Time // when it was read; in replay, what the line says
	StrTime         string
	StrTimeFormat   string
	MarshaledTime   string // RFC 3339 with nanoseconds
	Process         bool
	Appsec          Appsec

	// From is ours: expressions of the Hub do not know it.
	From Provenance
	// Stamp is what MarshaledTime says, from the parser that wrote it.
	Stamp Stamp `expr:"-"`
}

// Line is the raw input of an event. Labels is shared by all events of a source:
// never write to it, use Event.SetLabel.
type Line struct {
	Raw     string
	Src     string // path, unit or peer
	Time    time.Time
	Labels  map[string]string
	Process bool
	Module  string // source type: "file", "journald", "http" for live requests
}

// Provenance says how an event reached this node, for decisions that depend on it.
type Provenance struct {
	// Direct: the packets came from the source address itself, not from a proxy
	// that named it. Without it nothing may act below HTTP.
	Direct bool
	// Detect: the site this request was for only detects.
	Detect bool
	// Inline: the event is a live request, not a line.
	Inline bool
	// Site is the host name the request was for.
	Site string
	// Incident is the id that the visitor was shown, if any.
	Incident string
	// At is the instant at which a live event counts in buckets; zero means now.
	At time.Time
	// Width64 asks for IPv6 sources to be keyed and decided by their /64.
	Width64 bool
	// Depth counts how often overflows led to this one, so that scenarios that feed
	// on overflows cannot run in circles.
	Depth int
}

// Reset empties e for reuse; the maps keep their memory.
func (e *Event) Reset() {
	parsed, enriched, unmarshaled, meta := e.Parsed, e.Enriched, e.Unmarshaled, e.Meta
	clear(parsed)
	clear(enriched)
	clear(unmarshaled)
	clear(meta)
	*e = Event{Parsed: parsed, Enriched: enriched, Unmarshaled: unmarshaled, Meta: meta}
}

// Clone returns a copy that shares no map with e. Values inside Unmarshaled and
// the alerts of an overflow are shared.
func (e *Event) Clone() *Event {
	c := *e
	c.Line.Labels = maps.Clone(e.Line.Labels)
	c.Parsed = maps.Clone(e.Parsed)
	c.Enriched = maps.Clone(e.Enriched)
	c.Unmarshaled = maps.Clone(e.Unmarshaled)
	c.Meta = maps.Clone(e.Meta)
	c.Overflow.Sources = make(map[string]*Source, len(e.Overflow.Sources))
	for k, s := range e.Overflow.Sources {
		v := *s
		c.Overflow.Sources[k] = &v
	}
	return &c
}

// SetMeta writes Meta[key] and returns true, so that filters can call it.
func (e *Event) SetMeta(key, value string) bool { return set(&e.Meta, key, value) }

// SetParsed writes Parsed[key] and returns true, so that filters can call it.
func (e *Event) SetParsed(key, value string) bool { return set(&e.Parsed, key, value) }

// SetEnriched writes Enriched[key].
func (e *Event) SetEnriched(key, value string) { set(&e.Enriched, key, value) }

// SetLabel writes a label of this event alone: the shared map is copied first.
func (e *Event) SetLabel(key, value string) {
	e.Line.Labels = maps.Clone(e.Line.Labels)
	set(&e.Line.Labels, key, value)
}

func set(m *map[string]string, key, value string) bool {
	if *m == nil {
		*m = make(map[string]string, 16)
	}
	(*m)[key] = value
	return true
}

// GetType returns "log" or "overflow", else "unknown".
func (e *Event) GetType() string {
	switch e.Type {
	case LogType:
		return "log"
	case OverflowType:
		return "overflow"
	}
	return "unknown"
}

// GetMeta returns Meta[key] of a line, and for an overflow the first non-empty
// value that any event of any of its alerts has under key.
func (e *Event) GetMeta(key string) string {
	if e.Type == LogType {
		return e.Meta[key]
	}
	if e.Type == OverflowType {
		for i := range e.Overflow.APIAlerts {
			if v := e.Overflow.APIAlerts[i].eventMeta(key); v != "" {
				return v
			}
		}
	}
	return ""
}

// ParseIPSources returns the addresses an event is about: Meta.source_ip of a
// line, the sources of an overflow. What does not parse is left out.
func (e *Event) ParseIPSources() []netip.Addr {
	var texts []string
	if e.Type == OverflowType {
		texts = e.Overflow.GetSources()
	} else if s, ok := e.Meta["source_ip"]; ok {
		texts = []string{s}
	}
	var addrs []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// RuntimeAlert is the overflow part of an event.
type RuntimeAlert struct {
	Mapkey      string
	BucketID    string `expr:"BucketId"`
	Whitelisted bool
	Reprocess   bool
	Sources     map[string]*Source // by the value they had when the bucket overflowed
	Alert       *Alert             // the first of APIAlerts; nil on a line
	APIAlerts   []Alert            // one for each source
}

// GetSources returns the keys of Sources, sorted.
func (r RuntimeAlert) GetSources() []string {
	return slices.Sorted(maps.Keys(r.Sources))
}

// Queue is what conditions see of the events in a bucket, oldest first. They are
// pointers, so that expressions can call an event's methods. Who evaluates hands
// out copies: what an expression writes to them is lost.
type Queue struct {
	Queue []*Event
	L     int // one less than the most it holds; -1: as many as there are
}

// GetQueue returns the events.
func (q *Queue) GetQueue() []*Event { return q.Queue }
