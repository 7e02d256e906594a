package parsers

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
)

func TestParseDate(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zone data: ", err)
	}
	cases := []struct {
		text, layout string
		loc          *time.Location
		want         string
		ok           bool
	}{
		{"2024-04-10T14:30:00Z", "", nil, "2024-04-10T14:30:00Z", true},
		{"2024-04-10T14:30:00.123456+02:00", "", nil, "2024-04-10T14:30:00.123456+02:00", true},
		{"2024-04-10T14:30:00,5Z", "", nil, "2024-04-10T14:30:00.5Z", true},
		{"2024-04-10T14:30:00.5+0530", "", nil, "2024-04-10T14:30:00.5+05:30", true},
		{"2024-04-10T14:30:00-0400", "", paris, "2024-04-10T14:30:00-04:00", true},
		{"10/Apr/2024:14:30:00 +0200", "", nil, "2024-04-10T14:30:00+02:00", true},
		{"10/Apr/2024:14:30:00", "", nil, "2024-04-10T14:30:00Z", true},
		{"10/Apr/2024:14:30:00", "", paris, "2024-04-10T14:30:00+02:00", true},
		{"Wed Apr 10 14:30:00 2024", "", nil, "2024-04-10T14:30:00Z", true},
		{"Wed Apr 10 14:30:00.000123 2024", "", nil, "2024-04-10T14:30:00.000123Z", true},
		{"10-Apr-2024 14:30:00 europe/paris", "", nil, "2024-04-10T14:30:00Z", true},
		{"04/10/2024 14:30:00", "", nil, "2024-04-10T14:30:00Z", true},
		{"2024-04-10 14:30:00.5 +0200 CEST", "", nil, "2024-04-10T14:30:00.5+02:00", true},
		{"2024/04/10", "", nil, "2024-04-10T00:00:00Z", true},
		{"2024/04/10 14:30", "", nil, "2024-04-10T14:30:00Z", true},
		{"2024/04/10 14:30:05", "", nil, "2024-04-10T14:30:05Z", true},
		{"2024-04-10", "", nil, "2024-04-10T00:00:00Z", true},
		{"2024-04-10 14:30", "", nil, "2024-04-10T14:30:00Z", true},
		{"2024-04-10 14:30:05", "", nil, "2024-04-10T14:30:05Z", true},
		{"2024-04-10 14:30:05.25", "", nil, "2024-04-10T14:30:05.25Z", true},
		{"2024-04-10T14:30:05", "", paris, "2024-04-10T14:30:05+02:00", true},
		{"Apr 10 14:30:00", "", nil, "2025-04-10T14:30:00Z", true},
		{"Apr  1 14:30:00", "", nil, "2025-04-01T14:30:00Z", true},
		{"Apr 1 14:30:00", "", nil, "2025-04-01T14:30:00Z", true},
		{"Dec 31 14:30:00", "", nil, "2025-12-31T14:30:00Z", true},
		{"Feb 29 14:30:00", "", nil, "2025-03-01T14:30:00Z", true},
		{"1712759400", "", nil, "2024-04-10T14:30:00Z", true},
		{"1712759400.987", "", nil, "2024-04-10T14:30:00Z", true},
		{"1712759400", "", paris, "2024-04-10T16:30:00+02:00", true},
		{"20240410-143000", "20060102-150405", nil, "2024-04-10T14:30:00Z", true},
		{"Apr 10 14:30:00", "20060102-150405", nil, "2025-04-10T14:30:00Z", true},
		{"10.04. 14:30", "02.01. 15:04", nil, "2025-04-10T14:30:00Z", true},
		{"", "", nil, "2025-12-20T12:00:00Z", false},
		{"tomorrow", "", nil, "2025-12-20T12:00:00Z", false},
		{"-5", "", nil, "2025-12-20T12:00:00Z", false},
		{"0", "", nil, "2025-12-20T12:00:00Z", false},
		{"1712759400987", "", nil, "2025-12-20T12:00:00Z", false},
		{"2024-13-10T14:30:00Z", "", nil, "2025-12-20T12:00:00Z", false},
	}
	for _, c := range cases {
		got, ok := ParseDate(c.text, c.layout, c.loc, clock())
		if text := got.Format(time.RFC3339Nano); text != c.want || ok != c.ok {
			t.Errorf("%q (layout %q, zone %v): %s %v, want %s %v", c.text, c.layout, c.loc, text, ok, c.want, c.ok)
		}
	}
}

// TestParseDateNewYear: the year of a date that names none begins where its zone's
// does, not London's.
func TestParseDateNewYear(t *testing.T) {
	for _, zone := range []int{-11, -5, 0, 9, 14} {
		loc := time.FixedZone("", zone*3600)
		for _, now := range []time.Time{
			time.Date(2025, 12, 31, 23, 59, 50, 0, loc), time.Date(2026, 1, 1, 0, 0, 10, 0, loc), time.Date(2026, 1, 1, 13, 0, 0, 0, loc),
		} {
			if got, ok := ParseDate(now.Format(time.Stamp), "", loc, now.UTC()); !ok || !got.Equal(now) {
				t.Errorf("%q read at that moment: %s", now.Format(time.Stamp), got)
			}
		}
	}
}

// TestParseDateMode: whose clock counts, live and in replay.
func TestParseDateMode(t *testing.T) {
	read := time.Date(2025, 12, 20, 11, 59, 0, 0, time.UTC)
	cases := []struct {
		name, str string
		mode      int
		fix       bool
		marshaled string
		time      time.Time
	}{
		{"live", "2024-04-10T14:30:00Z", event.Live, false, "2024-04-10T14:30:00Z", read},
		{"replay", "2024-04-10T14:30:00Z", event.Replay, false, "2024-04-10T14:30:00Z", time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)},
		{"replay of what is no date", "soon", event.Replay, false, "2025-12-20T12:00:00Z", read},
		{"future without a year", "Dec 31 14:30:00", event.Live, false, "2025-12-31T14:30:00Z", read},
		{"future without a year, fixed", "Dec 31 14:30:00", event.Live, true, "2024-12-31T14:30:00Z", read},
		{"a skewed clock is no other year", "Dec 21 11:59:00", event.Live, true, "2025-12-21T11:59:00Z", read},
		{"with a year it stays", "2026-12-31T14:30:00Z", event.Live, true, "2026-12-31T14:30:00Z", read},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := Load(builtinItems(t), testEnv(), Options{Now: clock, FixYear: c.fix})
			if err != nil {
				t.Fatal(err)
			}
			ev := &event.Event{ExpectMode: c.mode, StrTime: c.str, Time: read}
			p.ParseFrom("s02-enrich", ev, nil)
			if ev.MarshaledTime != c.marshaled || ev.Meta["timestamp"] != c.marshaled || !ev.Time.Equal(c.time) {
				t.Fatalf("%q %v %v", ev.MarshaledTime, ev.Time, ev.Meta)
			}
		})
	}
}

// FuzzParseDate: the look at a date's shape never hides a layout that fits.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2024-04-10T14:30:00Z", "10/Apr/2024:14:30:00 +0200", "Apr  1 14:30:00", "Wed Apr 10 14:30:00 2024", "04/10/2024 14:30:00", "1712759400", "1/Apr/2024:14:30:00", "24-4-1", " 2024/04/10"} {
		f.Add(s, "")
	}
	f.Add("20240410", "20060102")
	f.Fuzz(func(t *testing.T, text, layout string) {
		got, ok := ParseDate(text, layout, nil, clock())
		if text == "" || len(text) > maxDate {
			return
		}
		if layout != "" {
			if want, err := time.Parse(layout, text); err == nil {
				if want, _ = withYear(want, clock()); !ok || !got.Equal(want) {
					t.Fatalf("%q by %q: %v", text, layout, got)
				}
				return
			}
		}
		for _, known := range layouts() {
			if want, err := time.Parse(known.layout, text); err == nil {
				if want, _ = withYear(want, clock()); !ok || !got.Equal(want) {
					t.Fatalf("%q is %v by %q, but %v", text, want, known.layout, got)
				}
				return
			}
		}
		if _, unix := unixDate(text, time.UTC); ok != unix {
			t.Fatalf("%q: %v %v", text, got, ok)
		}
	})
}
