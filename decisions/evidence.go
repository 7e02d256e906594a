package decisions

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/event"
)

const (
	maxEvidence = 64 << 10 // bytes of keys and values of an alert's events
	maxContext  = 16 << 10 // and of its own meta
	maxValue    = 2 << 10  // bytes of one key or value
	eventBytes  = 64       // that an event costs beside its meta
	maxLabels   = 64
	cutMark     = "…"
)

// bounded returns a copy of a whose texts and evidence are within limits, and how
// much was cut: values cut short, and events and items left out. Events are left
// out from the oldest on: the last ones are those that overflowed the bucket.
func bounded(a *event.Alert) (out event.Alert, values, dropped int) {
	out = *a
	out.Message, values = cut(a.Message, values)
	var n int
	out.Meta, n, values = boundedMeta(a.Meta, maxContext, values)
	dropped += len(a.Meta) - len(out.Meta)
	budget, from := maxEvidence, len(a.Events)
	events := make([]event.AlertEvent, len(a.Events))
	for i := len(a.Events) - 1; i >= 0; i-- {
		e := a.Events[i]
		size := len(e.Meta)
		e.Meta, n, values = boundedMeta(e.Meta, maxEvidence/2, values)
		dropped += size - len(e.Meta)
		if budget -= n + eventBytes; budget < 0 {
			break
		}
		events[i], from = e, i
	}
	if from > 0 {
		dropped += from
	}
	if a.Events != nil {
		out.Events = events[from:]
	}
	if a.Kept > 0 || from > 0 {
		out.Kept = int32(len(out.Events))
	}
	return out, values, dropped
}

// boundedMeta cuts long texts of m, and leaves out items once budget is spent; it
// copies only what it changes.
func boundedMeta(m event.Meta, budget, values int) (event.Meta, int, int) {
	out, size := m, 0
	for i := range m {
		k, n := cut(m[i].Key, values)
		v, n := cut(m[i].Value, n)
		if n != values {
			if &out[0] == &m[0] {
				out = slices.Clone(m)
			}
			out[i], values = event.MetaItem{Key: k, Value: v}, n
		}
		if size+len(k)+len(v) > budget {
			return out[:i:i], size, values
		}
		size += len(k) + len(v)
	}
	return out, size, values
}

// boundedWhole is bounded for an alert that is not from here, or goes elsewhere: all
// its texts and lists are within limits. Doing it twice changes nothing more.
func boundedWhole(a *event.Alert) event.Alert {
	out, _, _ := bounded(a)
	tidyWhole(&out)
	return out
}

// tidyWhole brings what bounded leaves as it is within limits; out is its copy.
func tidyWhole(out *event.Alert) {
	for _, s := range []*string{&out.MachineID, &out.CreatedAt, &out.Kind, &out.Scenario, &out.ScenarioHash, &out.ScenarioVersion,
		&out.StartAt, &out.StopAt, &out.Leakspeed, &out.IncidentID, &out.Site} {
		*s = tidyText(*s, maxText)
	}
	out.Message = tidyText(out.Message, maxValue)
	if out.Source != nil {
		src := *out.Source
		for _, s := range []*string{&src.Scope, &src.Value, &src.IP, &src.Range, &src.AsName, &src.AsNumber, &src.Cn} {
			*s = tidyText(*s, maxText)
		}
		out.Source = &src
	}
	for i := range out.Events {
		out.Events[i].Timestamp = tidyText(out.Events[i].Timestamp, maxScope)
	}
	out.Labels = slices.Clone(out.Labels[:min(len(out.Labels), maxLabels)])
	for i, s := range out.Labels {
		out.Labels[i] = tidyText(s, maxText)
	}
	out.Decisions = slices.Clone(out.Decisions[:min(len(out.Decisions), maxOpDecisions)])
	for i := range out.Decisions {
		d := &out.Decisions[i]
		for _, s := range []*string{&d.UUID, &d.Type, &d.Scope, &d.Value, &d.Origin, &d.Scenario, &d.Duration, &d.Until} {
			*s = tidyText(*s, maxText)
		}
	}
}

// tidyText returns s without control characters and what is no text, cut to a number
// of bytes.
func tidyText(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
		for !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > limit-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

// cut returns s, or its beginning if it is too long, and count, then one more.
func cut(s string, count int) (string, int) {
	if len(s) <= maxValue {
		return s, count
	}
	return strings.ToValidUTF8(s[:maxValue-len(cutMark)], "") + cutMark, count + 1
}
