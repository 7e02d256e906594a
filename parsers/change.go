package parsers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/event"
)

// maxChange bounds the text of one side of a change.
const maxChange = 1024

// Change is one field of an event with what it was and what it is. Field is a path
// as expressions have it, without "evt.": "Parsed.program", "StrTime",
// "Unmarshaled.json". Trees are JSON; long texts are cut.
type Change struct {
	Field, Old, New string
}

// String is the change as people read it.
func (c Change) String() string {
	if c.Old == "" {
		return fmt.Sprintf("%s = %q", c.Field, c.New)
	}
	return fmt.Sprintf("%s = %q (was %q)", c.Field, c.New, c.Old)
}

// snapshot copies an event and those parts behind pointers that statics write to.
func snapshot(ev *event.Event) *event.Event {
	c := ev.Clone()
	if ev.Overflow.Alert != nil {
		alert := *ev.Overflow.Alert
		if alert.Source != nil {
			source := *alert.Source
			alert.Source = &source
		}
		c.Overflow.Alert = &alert
	}
	return c
}

// changesBetween returns what differs, sorted by field.
func changesBetween(a, b *event.Event) []Change {
	var out []Change
	for _, m := range []struct {
		prefix        string
		before, after map[string]string
	}{
		{"Parsed.", a.Parsed, b.Parsed}, {"Meta.", a.Meta, b.Meta},
		{"Enriched.", a.Enriched, b.Enriched}, {"Line.Labels.", a.Line.Labels, b.Line.Labels},
	} {
		for k, v := range m.after {
			// A key with an empty text is new too: it hides nothing, but it is there.
			if old, had := m.before[k]; !had || old != v {
				out = append(out, Change{m.prefix + k, cut(old), cut(v)})
			}
		}
	}
	for k, v := range b.Unmarshaled {
		if old, had := a.Unmarshaled[k]; !had || !reflect.DeepEqual(old, v) {
			out = append(out, Change{"Unmarshaled." + k, treeText(old), treeText(v)})
		}
	}
	before, after := scalars(a), scalars(b)
	for i, s := range after {
		if old := before[i].New; old != s.New {
			out = append(out, Change{s.Field, cut(old), cut(s.New)})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Field, b.Field) })
	return out
}

// scalars returns the fields of an event that nodes may write to, always in the
// same order.
func scalars(ev *event.Event) []Change {
	var alert event.Alert
	var source event.Source
	if a := ev.Overflow.Alert; a != nil {
		alert = *a
		if a.Source != nil {
			source = *a.Source
		}
	}
	return []Change{
		{Field: "Stage", New: ev.Stage}, {Field: "StrTime", New: ev.StrTime}, {Field: "StrTimeFormat", New: ev.StrTimeFormat},
		{Field: "MarshaledTime", New: ev.MarshaledTime}, {Field: "Time", New: ev.Time.Format(time.RFC3339Nano)},
		{Field: "Whitelisted", New: strconv.FormatBool(ev.Whitelisted)}, {Field: "WhitelistReason", New: ev.WhitelistReason},
		{Field: "Line.Raw", New: ev.Line.Raw}, {Field: "Line.Src", New: ev.Line.Src}, {Field: "Line.Module", New: ev.Line.Module},
		{Field: "Overflow.Mapkey", New: ev.Overflow.Mapkey}, {Field: "Overflow.BucketId", New: ev.Overflow.BucketID},
		{Field: "Overflow.Whitelisted", New: strconv.FormatBool(ev.Overflow.Whitelisted)},
		{Field: "Overflow.Alert.Scenario", New: alert.Scenario}, {Field: "Overflow.Alert.Message", New: alert.Message},
		{Field: "Overflow.Alert.Kind", New: alert.Kind}, {Field: "Overflow.Alert.Source.Scope", New: source.Scope},
		{Field: "Overflow.Alert.Source.Value", New: source.Value}, {Field: "Overflow.Alert.Source.IP", New: source.IP},
		{Field: "Overflow.Alert.Source.Range", New: source.Range}, {Field: "Overflow.Alert.Source.AsName", New: source.AsName},
		{Field: "Overflow.Alert.Source.AsNumber", New: source.AsNumber}, {Field: "Overflow.Alert.Source.Cn", New: source.Cn},
	}
}

// mergeChanges adds later changes to earlier ones of the same node.
func mergeChanges(earlier, later []Change) []Change {
	if len(earlier) == 0 {
		return later
	}
	for _, c := range later {
		if i, found := slices.BinarySearchFunc(earlier, c, func(a, b Change) int { return cmp.Compare(a.Field, b.Field) }); found {
			earlier[i].New = c.New
		} else {
			earlier = slices.Insert(earlier, i, c)
		}
	}
	return earlier
}

func treeText(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return cut(fmt.Sprint(v))
	}
	return cut(string(text))
}

// cut shortens s to at most maxChange bytes and an ellipsis, at a character's end.
func cut(s string) string {
	if len(s) <= maxChange {
		return s
	}
	n := maxChange
	for n > maxChange-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
