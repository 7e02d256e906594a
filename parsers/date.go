package parsers

import (
	"strconv"
	"strings"
	"time"
)

// maxDate bounds the text that is tried as a date.
const maxDate = 128

// maxUnix is the last second of the year 9999; later ones have no RFC 3339 text.
const maxUnix = 253402300799

// ParseDate reads a date as logs write it. layout, a Go time layout, is tried
// first; then the known ones; then Unix seconds. loc is the zone of dates that
// name none (nil: UTC), now gives the year of those that have none.
//
// CrowdSec compatible: a date without a year is in the current one, even where
// that lies ahead. What cannot be read gives now in UTC and false.
func ParseDate(text, layout string, loc *time.Location, now time.Time) (time.Time, bool) {
	t, _, ok := parseDate(text, layout, loc, now, false)
	return t, ok
}

// dateShape is a cheap look at a text that rules out most layouts.
type dateShape uint8

const (
	startsWithName dateShape = 1 << iota // "Jan", "Mon"
	dayFirst                             // 02/Jan, 02-Jan, 01/02
	yearFirstDash                        // 2006-
	yearFirstSlash                       // 2006/
)

// knownLayout is one entry of the list; order matters.
type knownLayout struct {
	layout string
	shape  dateShape
}

// layouts returns CrowdSec's list and, after it, Apache's without a zone and ISO
// 8601 with a zone without a colon.
func layouts() [18]knownLayout {
	return [...]knownLayout{
		{time.RFC3339, yearFirstDash},
		{"02/Jan/2006:15:04:05 -0700", dayFirst},
		{"Mon Jan 2 15:04:05 2006", startsWithName},
		{"02-Jan-2006 15:04:05 europe/paris", dayFirst},
		{"01/02/2006 15:04:05", dayFirst},
		{"2006-01-02 15:04:05.999999999 -0700 MST", yearFirstDash},
		{"Jan  2 15:04:05", startsWithName},
		{"Mon Jan 02 15:04:05.000000 2006", startsWithName},
		{"2006-01-02T15:04:05Z07:00", yearFirstDash},
		{"2006/01/02", yearFirstSlash},
		{"2006/01/02 15:04", yearFirstSlash},
		{"2006-01-02", yearFirstDash},
		{"2006-01-02 15:04", yearFirstDash},
		{"2006/01/02 15:04:05", yearFirstSlash},
		{"2006-01-02 15:04:05", yearFirstDash},
		{"2006-01-02T15:04:05", yearFirstDash},
		{"02/Jan/2006:15:04:05", dayFirst},
		{"2006-01-02T15:04:05Z0700", yearFirstDash},
	}
}

// shapeOf returns the only shapes that text can have. Every layout writes day,
// month and year with a fixed number of digits, so the separators have fixed
// places.
func shapeOf(text string) dateShape {
	if len(text) < 8 {
		return 0
	}
	c := text[0]
	switch {
	case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		return startsWithName
	case text[2] == '/' || text[2] == '-':
		return dayFirst
	case text[4] == '-':
		return yearFirstDash
	case text[4] == '/':
		return yearFirstSlash
	}
	return 0
}

// parseDate is ParseDate that also says whether the date named no year. Plain: by
// package time alone.
func parseDate(text, layout string, loc *time.Location, now time.Time, plain bool) (t time.Time, yearless, ok bool) {
	if loc == nil {
		loc = time.UTC
	}
	if text == "" || len(text) > maxDate {
		return now.UTC(), false, false
	}
	if layout != "" {
		if t, err := time.ParseInLocation(layout, text, loc); err == nil {
			t, yearless = withYear(t, now)
			return t, yearless, true
		}
	}
	if !plain {
		if t, yearless, ok := handDate(text, loc, now); ok {
			return t, yearless, true
		}
	}
	shape := shapeOf(text)
	for _, known := range layouts() {
		if known.shape&shape == 0 {
			continue
		}
		if t, err := time.ParseInLocation(known.layout, text, loc); err == nil {
			t, yearless = withYear(t, now)
			return t, yearless, true
		}
	}
	if t, ok := unixDate(text, loc); ok {
		return t, false, true
	}
	return now.UTC(), false, false
}

// withYear puts a date of the year 0 into now's year, as its own zone counts it.
// CrowdSec compatible: by date addition, so that February 29 may become March 1.
func withYear(t, now time.Time) (time.Time, bool) {
	if t.Year() != 0 {
		return t, false
	}
	return t.AddDate(now.In(t.Location()).Year(), 0, 0), true
}

// unixDate reads seconds since 1970; a fraction is cut off.
func unixDate(text string, loc *time.Location) (time.Time, bool) {
	whole, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 || n > maxUnix {
		return time.Time{}, false
	}
	return time.Unix(n, 0).In(loc), true
}
