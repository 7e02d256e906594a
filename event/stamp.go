package event

import "time"

// Stamp is a time beside its text, so that nobody parses again what was just
// written. It counts for this text alone.
type Stamp struct {
	text string
	time time.Time
}

// NewStamp returns the RFC 3339 text of t with its stamp.
func NewStamp(t time.Time) Stamp {
	s := Stamp{text: t.Format(time.RFC3339Nano)}
	if readsBack(t) {
		s.time = t.Round(0) // without the reading of the monotonic clock
	}
	return s
}

// Text returns the RFC 3339 text.
func (s Stamp) Text() string { return s.text }

// Of returns the time that text says: the stamp's own if it is of this text, else
// that of parsing it.
func (s Stamp) Of(text string) (time.Time, error) {
	if !s.time.IsZero() && text == s.text {
		return s.time, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// readsBack reports whether parsing the text of t gives t to the letter, zone and
// all: named zones become bare offsets, and years of five digits nothing.
func readsBack(t time.Time) bool {
	if y := t.Year(); y < 0 || y > 9999 {
		return false
	}
	return t.Location() == time.UTC
}
