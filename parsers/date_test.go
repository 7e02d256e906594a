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

// naiveDate is the oracle: every layout in order, all by package time.
func naiveDate(text, layout string, loc *time.Location, now time.Time) (time.Time, bool) {
	all := []string{layout}
	for _, known := range layouts() {
		all = append(all, known.layout)
	}
	for _, l := range all {
		if l == "" {
			continue
		}
		if t, err := time.ParseInLocation(l, text, loc); err == nil {
			if t.Year() == 0 {
				t = t.AddDate(now.In(t.Location()).Year(), 0, 0)
			}
			return t, true
		}
	}
	return unixDate(text, loc)
}

// sameDate compares all that anybody can see of a date.
func sameDate(t *testing.T, text, layout string, loc *time.Location, now time.Time) {
	t.Helper()
	if text == "" || len(text) > maxDate {
		return
	}
	want, known := naiveDate(text, layout, loc, now)
	for _, plain := range []bool{false, true} {
		got, _, ok := parseDate(text, layout, loc, now, plain)
		if ok != known {
			t.Fatalf("%q by %q in %v, plain %v: read %v, want %v", text, layout, loc, plain, ok, known)
		}
		_, offset := got.Zone()
		_, wantOffset := want.Zone()
		if known && (!got.Equal(want) || offset != wantOffset || got.Format(time.RFC3339Nano) != want.Format(time.RFC3339Nano)) {
			t.Fatalf("%q by %q in %v, plain %v: %v, want %v", text, layout, loc, plain, got, want)
		}
	}
}

// zones are a few that differ from UTC: fixed, with summer time, and one that
// skipped a day.
func zones(t testing.TB) []*time.Location {
	out := []*time.Location{time.UTC, time.FixedZone("", 2*3600), time.FixedZone("odd", -12345)}
	for _, name := range []string{"Europe/Paris", "America/New_York", "Pacific/Apia"} {
		if loc, err := time.LoadLocation(name); err == nil {
			out = append(out, loc)
		}
	}
	return out
}

// TestHandDate: dates of every day of some years and of every kind of digit, in the
// spellings that are read by hand, and slight variations of them.
func TestHandDate(t *testing.T) {
	layouts := []string{time.Stamp, "Jan 02 15:04:05", "02/Jan/2006:15:04:05", "02/Jan/2006:15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006/01/02 15:04:05", "2006/01/02T15:04:05"}
	byHand := 0
	for _, loc := range zones(t) {
		for day := range 500 {
			at := time.Date(2023, 1, 1, day%24, day%60, (day*7)%60, 0, loc).AddDate(0, 0, 3*day)
			if day%17 == 0 {
				at = at.AddDate(-2022, 0, 0)
			}
			text := at.Format(layouts[day%len(layouts)])
			sameDate(t, text, "", loc, at.AddDate(day%9, 0, 0))
			if _, _, ok := handDate(text, loc, at); ok {
				byHand++
			}
			for i := range text {
				if (i+day)%7 == 0 {
					for _, c := range " 0139/:-+T\xff" {
						sameDate(t, text[:i]+string(c)+text[i+1:], "", loc, at)
					}
				}
			}
		}
	}
	if byHand < 1500 {
		t.Fatalf("only %d dates were read by hand", byHand)
	}
}

// FuzzParseDate holds the fast way to the plain one, and both to the list.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2024-04-10T14:30:00Z", "10/Apr/2024:14:30:00 +0200", "Apr  1 14:30:00", "Feb 29 14:30:00", "Wed Apr 10 14:30:00 2024", "04/10/2024 14:30:00", "1712759400", "1/Apr/2024:14:30:00", "24-4-1", " 2024/04/10", "0000-01-01 00:00:00", "2024/04/10 14:30:00"} {
		f.Add(s, "", 0)
		f.Add(s, "", 3)
	}
	f.Add("20240410", "20060102", 0)
	all := zones(f)
	f.Fuzz(func(t *testing.T, text, layout string, zone int) {
		sameDate(t, text, layout, all[uint(zone)%uint(len(all))], clock())
	})
}
