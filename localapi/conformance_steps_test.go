package localapi

import (
	"net/url"
	"time"
)

// step is what people did on the real server between two captures, as the answers
// after it tell.
type step struct {
	at                           string // time of the day
	kind, scope, value, duration string // kind "" ends what is against value
}

// steps are in the order in which they were done.
func steps() []step {
	return []step{
		{"11:57:58", "ban", "Ip", "20.0.0.1", "1h"},
		{"11:57:58", "ban", "Range", "20.1.0.0/16", "1h"},
		{"11:57:59", "ban", "Ip", "2001:db8::5", "1h"},
		{"11:57:59", "captcha", "Ip", "20.0.0.9", "1h"},
		{"11:57:59", "ban", "Country", "RU", "4h"},
		{"11:58:04", "", "Ip", "20.0.0.1", ""},
		{"11:58:04", "ban", "Ip", "20.0.0.2", "1h"},
		{"11:59:05", "ban", "Ip", "10.78.0.2", "1h"},
		{"11:59:05", "ban", "Range", "10.79.0.0/16", "1h"},
		{"11:59:09", "ban", "Ip", "20.0.0.50", "1h"},
		{"11:59:51", "ban", "Ip", "20.0.0.60", "1h"},
		{"12:00:11", "ban", "Ip", "30.0.0.1", "1h"},
		{"12:00:15", "captcha", "Range", "30.1.0.0/16", "1h"},
		{"12:00:15", "throttle", "Ip", "30.0.0.7", "1h"},
		{"12:00:19", "", "Ip", "30.0.0.1", ""},
		{"12:00:25.2", "ban", "Ip", "30.0.0.1", "1h"},
		{"12:01:33", "ban", "Range", "40.1.0.0/16", "1h"},
		{"12:01:33", "captcha", "Ip", "40.0.0.3", "4h"},
		{"12:01:57", "ban", "Ip", "40.0.0.9", "1h"},
		{"12:01:59", "", "Ip", "40.0.0.9", ""},
		{"12:02:37", "ban", "Ip", "40.0.0.1", "1h"},
		{"12:02:39", "ban", "Range", "40.1.0.0/16", "1h"},
		{"12:02:39.3", "captcha", "Ip", "40.0.0.3", "4h"},
		{"12:02:40", "", "Ip", "40.0.0.1", ""},
		{"12:03:01", "ban", "Ip", "40.0.0.9", "1h"},
		{"12:03:05.5", "", "Ip", "40.0.0.9", ""},
		{"12:04:46.5", "ban", "Ip", "50.0.0.1", "4h"},
		{"12:04:50", "", "Ip", "50.0.0.1", ""},
	}
}

// meanwhile does what was done up to an instant.
func (s *replayed) meanwhile(until time.Time) {
	s.tb.Helper()
	for len(s.steps) > 0 {
		do := s.steps[0]
		at, err := time.Parse("2006-01-02 15:04:05", boothStart.Format("2006-01-02 ")+do.at)
		s.must(err)
		if at.After(until) {
			return
		}
		s.steps = s.steps[1:]
		s.clock.Advance(at.Sub(s.clock.Now()))
		if do.kind == "" {
			s.sends(200, "DELETE", "/v1/decisions?value="+url.QueryEscape(do.value), "")
			continue
		}
		s.decide(do.kind, do.scope, do.value, do.duration)
	}
}
