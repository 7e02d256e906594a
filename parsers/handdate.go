package parsers

import "time"

// handDate reads the dates that logs are full of, in their usual spelling: those of
// web servers, of syslog and of ISO 8601 without a zone. It gives what the list of
// layouts gives; anything else, and any doubt, is left to that list.
func handDate(text string, loc *time.Location, now time.Time) (t time.Time, yearless, ok bool) {
	d := digits{text: text}
	switch len(text) {
	case len("Jan _2 15:04:05"):
		// A blank is the only spelling of a day below ten that syslog has.
		month, day := monthAt(text), d.pair(4)
		if text[4] == ' ' {
			day = d.one(5)
		}
		d.at(3, ' ')
		d.at(6, ' ')
		hour, minute, second := d.clock(7)
		if d.bad || !valid(0, month, day, hour, minute, second) {
			return t, false, false
		}
		// The year is that of now as the zone counts it. February 29 may become March 1.
		return time.Date(now.In(loc).Year(), month, day, hour, minute, second, 0, loc), true, true
	case len("02/Jan/2006:15:04:05"), len("02/Jan/2006:15:04:05 -0700"):
		month, day, year := monthAt(text[3:]), d.pair(0), d.pair(7)*100+d.pair(9)
		d.at(2, '/')
		d.at(6, '/')
		d.at(11, ':')
		hour, minute, second := d.clock(12)
		if d.bad || year == 0 || !valid(year, month, day, hour, minute, second) {
			return t, false, false
		}
		if len(text) > 20 {
			return apacheZone(text, time.Date(year, month, day, hour, minute, second, 0, time.UTC), loc)
		}
		return time.Date(year, month, day, hour, minute, second, 0, loc), false, true
	case len("2006-01-02 15:04:05"):
		year, month, day := d.pair(0)*100+d.pair(2), time.Month(d.pair(5)), d.pair(8)
		sep := text[4]
		d.at(7, sep)
		if sep != '-' && sep != '/' || text[10] != ' ' && (text[10] != 'T' || sep == '/') {
			return t, false, false
		}
		hour, minute, second := d.clock(11)
		if d.bad || year == 0 || !valid(year, month, day, hour, minute, second) {
			return t, false, false
		}
		return time.Date(year, month, day, hour, minute, second, 0, loc), false, true
	}
	return t, false, false
}

// apacheZone moves a date that was read as if in UTC to the offset at its end, such
// as " +0200". Offsets that would need a zone of their own are left to package time.
func apacheZone(text string, utc time.Time, loc *time.Location) (time.Time, bool, bool) {
	d := digits{text: text}
	offset := (d.pair(22)*60 + d.pair(24)) * 60
	d.at(20, ' ')
	switch text[21] {
	case '+':
	case '-':
		offset = -offset
	default:
		return utc, false, false
	}
	t := utc.Add(-time.Duration(offset) * time.Second).In(loc)
	if _, local := t.Zone(); d.bad || local != offset {
		return utc, false, false
	}
	return t, false, true
}

// digits reads numbers at fixed places, and notes when there is none.
type digits struct {
	text string
	bad  bool
}

func (d *digits) one(i int) int {
	c := d.text[i] - '0'
	d.bad = d.bad || c > 9
	return int(c)
}

func (d *digits) pair(i int) int { return d.one(i)*10 + d.one(i+1) }

func (d *digits) at(i int, c byte) { d.bad = d.bad || d.text[i] != c }

// clock reads 15:04:05.
func (d *digits) clock(i int) (hour, minute, second int) {
	d.at(i+2, ':')
	d.at(i+5, ':')
	return d.pair(i), d.pair(i + 3), d.pair(i + 6)
}

// valid is false for what is out of range.
func valid(year int, month time.Month, day, hour, minute, second int) bool {
	return month >= time.January && month <= time.December && day >= 1 && day <= daysIn(month, year) &&
		hour < 24 && minute < 60 && second < 60
}

func daysIn(month time.Month, year int) int {
	switch month {
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

// monthAt reads an English short name at the front of s, which has three bytes at
// least; 0 for any other, and for other than the usual case.
func monthAt(s string) time.Month {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for m := range 12 {
		if s[:3] == names[3*m:3*m+3] {
			return time.Month(m + 1)
		}
	}
	return 0
}
