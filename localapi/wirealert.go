package localapi

import (
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// noMachine stands for the machine of alerts that none reported. CrowdSec compatible.
const noMachine = "N/A"

// appendAlert writes an alert whose decisions are as they stand at now.
//
// CrowdSec compatible: alphabetical keys, labels always null, null for no events and
// no decisions.
func appendAlert(dst []byte, a *event.Alert, now time.Time) []byte {
	dst = strconv.AppendInt(append(dst, `{"capacity":`...), int64(a.Capacity), 10)
	dst = appendMaybe(dst, "created_at", second(a.CreatedAt))
	dst = appendAlertDecisions(append(dst, `,"decisions":`...), a.Decisions, now)
	dst = appendEvents(append(dst, `,"events":`...), a.Events)
	dst = strconv.AppendInt(append(dst, `,"events_count":`...), int64(a.EventsCount), 10)
	dst = strconv.AppendInt(append(dst, `,"id":`...), a.ID, 10)
	dst = appendMaybe(dst, "kind", a.Kind)
	dst = appendString(append(dst, `,"labels":null,"leakspeed":`...), a.Leakspeed)
	machine := a.MachineID
	if machine == "" {
		machine = noMachine
	}
	dst = appendString(append(dst, `,"machine_id":`...), machine)
	dst = appendString(append(dst, `,"message":`...), a.Message)
	if len(a.Meta) > 0 {
		dst = appendMeta(append(dst, `,"meta":`...), a.Meta)
	}
	if a.Remediation {
		dst = append(dst, `,"remediation":true`...)
	}
	dst = appendString(append(dst, `,"scenario":`...), a.Scenario)
	dst = appendString(append(dst, `,"scenario_hash":`...), a.ScenarioHash)
	dst = appendString(append(dst, `,"scenario_version":`...), a.ScenarioVersion)
	dst = strconv.AppendBool(append(dst, `,"simulated":`...), a.Simulated)
	dst = appendSource(append(dst, `,"source":`...), a.Source)
	dst = appendString(append(dst, `,"start_at":`...), second(a.StartAt))
	dst = appendString(append(dst, `,"stop_at":`...), second(a.StopAt))
	dst = appendMaybe(dst, "uuid", a.UUID)
	return append(dst, '}')
}

// appendMaybe writes a further key, unless its text is empty.
func appendMaybe(dst []byte, key, text string) []byte {
	if text == "" {
		return dst
	}
	return appendString(append(append(append(dst, `,"`...), key...), `":`...), text)
}

// second is an instant to the second; what is none stays as it is. CrowdSec compatible.
func second(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.UTC().Format(time.RFC3339)
}

// appendAlertDecisions writes those of an alert. One that the allowlist took the force
// from has no time left.
func appendAlertDecisions(dst []byte, ds []event.AlertDecision, now time.Time) []byte {
	if len(ds) == 0 {
		return append(dst, "null"...)
	}
	for i := range ds {
		d := &ds[i]
		var left time.Duration
		if until, err := time.Parse(time.RFC3339, d.Until); err == nil {
			left = until.Sub(now)
		}
		if d.Suppressed {
			left = min(left, 0)
		}
		dst = append(dst, opener(i)...)
		dst = appendDecision(dst, &decisions.Decision{
			ID: d.ID, Origin: d.Origin, Scenario: d.Scenario, Scope: d.Scope, Type: d.Type, Value: d.Value, Simulated: d.Simulated,
		}, left, formAlert)
	}
	return append(dst, ']')
}

// opener is what stands before element i of a list.
func opener(i int) string {
	if i == 0 {
		return "["
	}
	return ","
}

// appendEvents writes events. CrowdSec compatible: their times are as Go prints them.
func appendEvents(dst []byte, events []event.AlertEvent) []byte {
	if len(events) == 0 {
		return append(dst, "null"...)
	}
	for i := range events {
		at := events[i].Timestamp
		if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
			at = t.UTC().String()
		}
		dst = appendMeta(append(append(dst, opener(i)...), `{"meta":`...), events[i].Meta)
		dst = append(appendString(append(dst, `,"timestamp":`...), at), '}')
	}
	return append(dst, ']')
}

func appendMeta(dst []byte, m event.Meta) []byte {
	if len(m) == 0 {
		return append(dst, "[]"...)
	}
	for i := range m {
		dst = appendString(append(append(dst, opener(i)...), `{"key":`...), m[i].Key)
		dst = append(appendString(append(dst, `,"value":`...), m[i].Value), '}')
	}
	return append(dst, ']')
}

func appendSource(dst []byte, s *event.Source) []byte {
	if s == nil {
		s = &event.Source{}
	}
	from := len(dst)
	for _, f := range []struct{ key, text string }{{"as_name", s.AsName}, {"as_number", s.AsNumber}, {"cn", s.Cn}, {"ip", s.IP}} {
		dst = appendMaybe(dst, f.key, f.text)
	}
	dst = appendDegrees(dst, "latitude", s.Latitude)
	dst = appendDegrees(dst, "longitude", s.Longitude)
	dst = appendMaybe(dst, "range", s.Range)
	dst = appendString(append(dst, `,"scope":`...), s.Scope)
	dst = append(appendString(append(dst, `,"value":`...), s.Value), '}')
	dst[from] = '{' // in place of the first comma
	return dst
}

func appendDegrees(dst []byte, key string, x float32) []byte {
	if x == 0 || x-x != 0 { // not a number, or infinite
		return dst
	}
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendFloat(dst, float64(x), 'f', -1, 32)
}
