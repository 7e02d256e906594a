package scenarios

import (
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// Paths are named as in expression.Reads. Those of texts can be kept and put back.

// isText reports whether path is a text of an event.
func isText(path string) bool {
	switch path {
	case "Line.Raw", "Line.Src", "Line.Module", "Stage", "StrTime", "StrTimeFormat", "MarshaledTime", "WhitelistReason":
		return true
	}
	for _, group := range [...]string{"Meta.", "Parsed.", "Enriched.", "Line.Labels."} {
		if strings.HasPrefix(path, group) {
			return true
		}
	}
	return false
}

// textOf returns the text at path; ok is false where a map has no such key.
func textOf(ev *event.Event, path string) (s string, ok bool) {
	if group, key := groupOf(ev, path); group != nil {
		s, ok = (*group)[key]
		return s, ok
	}
	if p := single(ev, path); p != nil {
		return *p, true
	}
	return "", false
}

// setText writes the text at path.
func setText(ev *event.Event, path, s string) {
	if group, key := groupOf(ev, path); group != nil {
		if *group == nil {
			*group = make(map[string]string, 4)
		}
		(*group)[key] = s
		return
	}
	if p := single(ev, path); p != nil {
		*p = s
	}
}

func groupOf(ev *event.Event, path string) (*map[string]string, string) {
	switch {
	case strings.HasPrefix(path, "Meta."):
		return &ev.Meta, path[len("Meta."):]
	case strings.HasPrefix(path, "Parsed."):
		return &ev.Parsed, path[len("Parsed."):]
	case strings.HasPrefix(path, "Enriched."):
		return &ev.Enriched, path[len("Enriched."):]
	case strings.HasPrefix(path, "Line.Labels."):
		return &ev.Line.Labels, path[len("Line.Labels."):]
	}
	return nil, ""
}

func single(ev *event.Event, path string) *string {
	switch path {
	case "Line.Raw":
		return &ev.Line.Raw
	case "Line.Src":
		return &ev.Line.Src
	case "Line.Module":
		return &ev.Line.Module
	case "Stage":
		return &ev.Stage
	case "StrTime":
		return &ev.StrTime
	case "StrTimeFormat":
		return &ev.StrTimeFormat
	case "MarshaledTime":
		return &ev.MarshaledTime
	case "WhitelistReason":
		return &ev.WhitelistReason
	}
	return nil
}
