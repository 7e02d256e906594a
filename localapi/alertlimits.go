package localapi

import (
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// Limits of what alerts carry, in bytes. CrowdSec compatible: those of its database.
const (
	maxEventMeta    = 8191 // of one event's meta, as JSON
	firstEventCut   = 2048 // of one of its values, if that is exceeded; then half, and so on
	lastEventCut    = 32
	maxContextKey   = 255
	maxContextValue = 4095
	stripped        = "<stripped>"
)

// boundEvent makes the meta of an event fit: its long values are cut to 2048 bytes, to
// 1024 and so on, until it does. If that is not enough it is left out.
func boundEvent(sent []*event.MetaItem) event.Meta {
	m := tidyMeta(sent)
	var room []byte
	for limit := firstEventCut; ; limit /= 2 {
		if room = appendMeta(room[:0], m); len(room) <= maxEventMeta {
			return m
		}
		if limit < lastEventCut {
			return nil
		}
		for i := range m {
			if len(m[i].Value) > limit+len(stripped) || len(m[i].Value) > limit && !strings.HasSuffix(m[i].Value, stripped) {
				m[i].Value = strings.ToValidUTF8(m[i].Value[:limit], "") + stripped
			}
		}
	}
}

// boundContext cuts what an alert's own meta has too long.
func boundContext(sent []*event.MetaItem) event.Meta {
	m := tidyMeta(sent)
	for i := range m {
		m[i].Key, m[i].Value = cut(m[i].Key, maxContextKey), cut(m[i].Value, maxContextValue)
	}
	return m
}

// tidyMeta copies a list without the elements that are null.
func tidyMeta(sent []*event.MetaItem) event.Meta {
	m := make(event.Meta, 0, len(sent))
	for _, it := range sent {
		if it != nil {
			m = append(m, *it)
		}
	}
	return m
}

func cut(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
