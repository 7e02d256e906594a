package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/logsources"
)

// catchupNode follows three logs: syslog with local stamps, syslog with ISO stamps,
// and an access log.
const catchupNode = `{
	admin {admin}
	rampart {
		data_dir {state}
		scenarios {dir}/any.yaml
		source file {dir}/auth.log
		source file {dir}/iso.log
		source file {dir}/access.log {
			labels type=nginx
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`

// mixedAny counts failures whichever log they are in.
const mixedAny = `type: leaky
name: local/any-failure
filter: evt.Meta.log_type == 'ssh_failed-auth' || evt.Meta.log_type == 'http_access-log' && evt.Meta.http_status == '401'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 10s
labels:
  type: bruteforce
  remediation: false
`

// written is a line with the instant that it is about.
type written struct {
	at   time.Time
	text string
}

// writer is one of the ways in which logs name an instant.
type writer struct {
	file string
	line func(at time.Time, ip string) string
}

// isoWriter writes what newer rsyslogs write, in one of the spellings of ISO 8601.
func isoWriter(layout string, zone *time.Location) writer {
	return writer{"iso.log", func(at time.Time, ip string) string {
		return at.In(zone).Format(layout) + " host sshd-session[77]: Failed password for root from " + ip + " port 40022 ssh2"
	}}
}

func catchupWriters(local *time.Location) []writer {
	east := time.FixedZone("", 5*3600+1800)
	return []writer{
		{"auth.log", func(at time.Time, ip string) string { return sshFailure(at.In(local), "root", ip) }},
		{"auth.log", func(at time.Time, ip string) string {
			return at.In(local).Format(time.Stamp) + " host sshd[1]: message repeated 1 times: [ Failed password for root from " + ip + " port 40022 ssh2]"
		}},
		isoWriter("2006-01-02T15:04:05.000000-07:00", time.UTC),
		isoWriter("2006-01-02T15:04:05.000000-07:00", east),
		isoWriter("2006-01-02T15:04:05Z07:00", time.UTC),
		isoWriter("2006-01-02T15:04:05-0700", east),
		isoWriter("2006-01-02T15:04:05,000-07:00", east),
		isoWriter("2006-01-02T15:04:05", local),
		{"access.log", func(at time.Time, ip string) string { return seedLine(ip, at.In(local), " 512") }},
		{"access.log", func(at time.Time, ip string) string {
			return fmt.Sprintf(`%s - - [%s] "POST /wp-login.php HTTP/1.1" 401 512 "-" "curl/8"`, ip, at.In(east).Format("02/Jan/2006:15:04:05 -0700"))
		}},
	}
}

// catchupCase is a burst of failures in the past, or a trickle of them.
type catchupCase struct {
	ago, over time.Duration
	decided   bool
}

// TestCatchUp stops a node, lets fifty failures of each kind pile up in its logs,
// and starts it again. It reads them all within a moment; what counts is when they
// happened.
func TestCatchUp(t *testing.T) {
	time.Now().Zone() // the tests' own zone, which is looked up once, is not one of these
	for _, zone := range []string{"UTC", "America/New_York", "Asia/Kathmandu"} {
		t.Run(zone, func(t *testing.T) {
			local, err := time.LoadLocation(zone)
			if err != nil {
				t.Skipf("needs time zones: %v", err)
			}
			t.Setenv("TZ", zone)
			catchUp(t, local)
		})
	}
}

func catchUp(t *testing.T, local *time.Location) {
	n := newNode(t)
	n.write("any.yaml", mixedAny)
	files := []string{"auth.log", "iso.log", "access.log"}
	for _, f := range files {
		n.write(f, "")
	}
	n.write("Caddyfile", n.expand(catchupNode))
	n.start()
	n.followed()
	begin := time.Now()
	for _, f := range files {
		n.add(f, sshFailure(begin.In(local), "nobody", "192.0.2.250"))
	}
	until(t, "the logs are followed", func() bool { return n.status().Events.Lines == int64(len(files)) })
	n.stop()

	cases := []catchupCase{
		{ago: time.Hour, over: time.Hour},
		{ago: 20 * time.Minute, over: 10 * time.Second, decided: true},
		{ago: 5 * time.Hour, over: 10 * time.Second},
	}
	lines := map[string][]written{}
	for w, wr := range catchupWriters(local) {
		for c, cs := range cases {
			for i := range 50 {
				at := begin.Add(-cs.ago + cs.over*time.Duration(i)/50)
				lines[wr.file] = append(lines[wr.file], written{at, wr.line(at, catchupAddress(w, c))})
			}
		}
	}
	// One source fails fifty times within the hour too, but in three logs.
	const everywhere = "198.51.200.1"
	for i := range 50 {
		at := begin.Add(-time.Hour + time.Hour*time.Duration(i)/50)
		wr := catchupWriters(local)[[]int{0, 2, 8}[i%3]]
		lines[wr.file] = append(lines[wr.file], written{at, wr.line(at, everywhere)})
	}
	total := 0
	for file, list := range lines {
		slices.SortStableFunc(list, func(a, b written) int { return cmp.Compare(a.at.Unix(), b.at.Unix()) })
		for _, l := range list {
			n.add(file, l.text)
		}
		total += len(list)
	}
	n.start()
	until(t, "all is read", func() bool { return n.status().Events.Lines == int64(total) })
	if s := n.status(); s.Events.Unparsed != 0 {
		t.Errorf("%d lines of no known form", s.Events.Unparsed)
	}
	if ds, alerts := n.decided(everywhere), n.alerts("value="+everywhere); len(ds)+len(alerts) > 0 {
		t.Errorf("fifty failures in three logs within the hour: alerts %+v, decisions %+v", alerts, ds)
	}
	for w, wr := range catchupWriters(local) {
		for c, cs := range cases {
			n.checkCaughtUp(wr, catchupAddress(w, c), cs, begin)
		}
	}
}

// followed waits until all logs are open: a line that is written before is not new.
func (n *node) followed() {
	n.t.Helper()
	until(n.t, "the logs are open", func() bool {
		sources := n.status().Sources
		return len(sources) > 0 && !slices.ContainsFunc(sources, func(s logsources.Status) bool { return s.Type == "file" && s.Files == 0 })
	})
}

// catchupAddress is the source of a writer's case.
func catchupAddress(w, c int) string { return fmt.Sprintf("198.51.%d.%d", 100+w, c+1) }

// checkCaughtUp: a burst counts from when it happened. Over SSH it bans for four
// hours; over HTTP it is challenged for an hour, and the shorter ban of the
// WordPress scenario is over already. A trickle does nothing.
func (n *node) checkCaughtUp(w writer, ip string, c catchupCase, begin time.Time) {
	n.t.Helper()
	what := fmt.Sprintf("%s, %s ago over %s (%s, as %q)", ip, c.ago, c.over, w.file, w.line(begin.Add(-c.ago), ip))
	length, kind := 4*time.Hour, decisions.TypeBan
	if w.file == "access.log" {
		length, kind = time.Hour, decisions.TypeCaptcha
	}
	ds, alerts := n.decided(ip), n.alerts("value="+ip)
	if (len(ds) > 0) != c.decided {
		n.t.Errorf("%s: decided %+v, want something: %v", what, ds, c.decided)
	}
	if burst := c.over < time.Minute; (len(alerts) > 0) != burst {
		n.t.Errorf("%s: %d alerts, want some: %v", what, len(alerts), burst)
	}
	for _, d := range ds {
		end := begin.Add(-c.ago).Add(length)
		if d.Type != kind || d.Until.Before(end.Add(-2*time.Second)) || d.Until.After(end.Add(c.over+2*time.Second)) {
			n.t.Errorf("%s: %s until %s, want %s until %s", what, d.Type, d.Until, kind, end)
		}
	}
	for _, a := range alerts {
		at, err := time.Parse(time.RFC3339Nano, a.StopAt)
		if from := begin.Add(-c.ago - 2*time.Second); err != nil || at.Before(from) || at.After(from.Add(c.over+4*time.Second)) {
			n.t.Errorf("%s: alert of %s: %v", what, a.StopAt, err)
		}
	}
}
