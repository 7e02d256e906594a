package parsers

import (
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// targetAt returns what writes the field at a path such as "evt.StrTime",
// "Parsed.program" or "Overflow.Alert.Source.Value"; nil where there is no such
// text field. Below a map the next element is the key.
func targetAt(path string) func(ev *event.Event, value string) {
	path = strings.TrimPrefix(path, "evt.")
	if group, key, ok := strings.Cut(path, "."); ok {
		key, _, _ := strings.Cut(key, ".")
		switch group {
		case "Parsed":
			return func(ev *event.Event, v string) { ev.SetParsed(key, v) }
		case "Meta":
			return func(ev *event.Event, v string) { ev.SetMeta(key, v) }
		case "Enriched":
			return func(ev *event.Event, v string) { ev.SetEnriched(key, v) }
		case "Unmarshaled":
			return func(ev *event.Event, v string) {
				if ev.Unmarshaled == nil {
					ev.Unmarshaled = map[string]any{}
				}
				ev.Unmarshaled[key] = v
			}
		}
	}
	if label, ok := strings.CutPrefix(path, "Line.Labels."); ok {
		// Unlike CrowdSec, where the labels of a source are shared and one line's
		// label appears on all later ones.
		label, _, _ = strings.Cut(label, ".")
		return func(ev *event.Event, v string) { ev.SetLabel(label, v) }
	}
	at := textField(path)
	if at == nil {
		return nil
	}
	return func(ev *event.Event, v string) {
		if p := at(ev); p != nil {
			*p = v
		}
	}
}

// textField returns what finds the text at path in an event, nil where the event
// has no such part.
func textField(path string) func(ev *event.Event) *string {
	switch path {
	case "StrTime":
		return func(ev *event.Event) *string { return &ev.StrTime }
	case "StrTimeFormat":
		return func(ev *event.Event) *string { return &ev.StrTimeFormat }
	case "MarshaledTime":
		return func(ev *event.Event) *string { return &ev.MarshaledTime }
	case "WhitelistReason":
		return func(ev *event.Event) *string { return &ev.WhitelistReason }
	case "Stage":
		return func(ev *event.Event) *string { return &ev.Stage }
	case "Line.Raw":
		return func(ev *event.Event) *string { return &ev.Line.Raw }
	case "Line.Src":
		return func(ev *event.Event) *string { return &ev.Line.Src }
	case "Line.Module":
		return func(ev *event.Event) *string { return &ev.Line.Module }
	case "Overflow.Mapkey":
		return func(ev *event.Event) *string { return &ev.Overflow.Mapkey }
	case "Overflow.BucketId", "Overflow.BucketID":
		return func(ev *event.Event) *string { return &ev.Overflow.BucketID }
	}
	if name, ok := strings.CutPrefix(path, "Overflow.Alert.Source."); ok {
		return sourceField(name)
	}
	if name, ok := strings.CutPrefix(path, "Overflow.Alert."); ok {
		return alertField(name)
	}
	return nil
}

func alertField(name string) func(ev *event.Event) *string {
	var pick func(a *event.Alert) *string
	switch name {
	case "Scenario":
		pick = func(a *event.Alert) *string { return &a.Scenario }
	case "Message":
		pick = func(a *event.Alert) *string { return &a.Message }
	case "Kind":
		pick = func(a *event.Alert) *string { return &a.Kind }
	default:
		return nil
	}
	return func(ev *event.Event) *string {
		if ev.Overflow.Alert == nil {
			return nil
		}
		return pick(ev.Overflow.Alert)
	}
}

func sourceField(name string) func(ev *event.Event) *string {
	var pick func(s *event.Source) *string
	switch name {
	case "Scope":
		pick = func(s *event.Source) *string { return &s.Scope }
	case "Value":
		pick = func(s *event.Source) *string { return &s.Value }
	case "IP":
		pick = func(s *event.Source) *string { return &s.IP }
	case "Range":
		pick = func(s *event.Source) *string { return &s.Range }
	case "AsName":
		pick = func(s *event.Source) *string { return &s.AsName }
	case "AsNumber":
		pick = func(s *event.Source) *string { return &s.AsNumber }
	case "Cn":
		pick = func(s *event.Source) *string { return &s.Cn }
	default:
		return nil
	}
	return func(ev *event.Event) *string {
		if ev.Overflow.Alert == nil || ev.Overflow.Alert.Source == nil {
			return nil
		}
		return pick(ev.Overflow.Alert.Source)
	}
}

// soleField returns the path of an expression that reads one text field of the
// event and does nothing else.
func soleField(source string) (string, bool) {
	path, ok := strings.CutPrefix(strings.TrimSpace(source), "evt.")
	if !ok {
		return "", false
	}
	switch path {
	case "StrTime", "Line.Raw", "Line.Src", "Line.Module":
		return path, true
	}
	for _, group := range []string{"Parsed.", "Meta.", "Enriched.", "Line.Labels."} {
		if key, ok := strings.CutPrefix(path, group); ok && key != "" && wordLength(key) == len(key) {
			return path, true
		}
	}
	return "", false
}
