package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// logLine is a line of the access log, as far as refusals go.
type logLine struct {
	Status   int    `json:"status"`
	Incident string `json:"rampart_incident"`
	Action   string `json:"rampart_action"`
	Scenario string `json:"rampart_scenario"`
	Request  struct {
		URI string `json:"uri"`
	} `json:"request"`
}

// accessLog waits until the site's log tells of an URI and returns its last line about it.
func (n *node) accessLog(uri string) (found logLine) {
	n.t.Helper()
	until(n.t, "the access log tells of "+uri, func() bool {
		for line := range strings.Lines(n.read("access.log")) {
			var l logLine
			if json.Unmarshal([]byte(line), &l) == nil && l.Request.URI == uri {
				found = l
			}
		}
		return found.Request.URI == uri
	})
	return found
}

var incidentID = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{26}$`)

// refusal is one refused request and what why has to know of it.
type refusal struct {
	what, ip, id, scenario string
	// alert is the one that the incident is recorded in; 0 for requests that were
	// refused by a decision that stood already.
	alert int64
}

const acceptHTML = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"

// TestIncidents: every refusal has an id of its own, in header, body and access
// log; why explains each, through clean and unclean restarts, and when the
// decision is long lifted.
func TestIncidents(t *testing.T) {
	s := openShop(t, "")
	var all []refusal
	note := func(r refusal, a answer, status int, remediation, uri, inBody string) {
		t.Helper()
		r.id = a.header.Get("X-Rampart-Incident")
		if a.status != status || a.remediation() != remediation || !incidentID.MatchString(r.id) {
			t.Errorf("%s: %d %q, incident %q; want %d %q", r.what, a.status, a.remediation(), r.id, status, remediation)
		}
		if inBody != "" && !strings.Contains(a.body, fmt.Sprintf(inBody, r.id)) {
			t.Errorf("%s: incident %s is not in the body:\n%s", r.what, r.id, a.body)
		}
		if inBody == "" && a.body != "" {
			t.Errorf("%s: a body of %d bytes", r.what, len(a.body))
		}
		if l := s.accessLog(uri); l.Incident != r.id || l.Action != remediation || l.Status != status || l.Scenario != r.scenario {
			t.Errorf("%s: the access log has %+v", r.what, l)
		}
		all = append(all, r)
	}

	// The request that overflows is refused itself, and its alert has the id.
	const scanner = "203.0.113.1"
	for _, p := range []string{"/.env", "/.git/config", "/backup.sql"} {
		if a := s.send(scanner, "GET", p, "Accept", acceptHTML); a.status != 200 {
			t.Fatalf("%s: %d", p, a.status)
		}
	}
	a := s.send(scanner, "GET", "/id_rsa", "Accept", acceptHTML)
	note(refusal{what: "overflow", ip: scanner, scenario: "rampart/http-sensitive-files"}, a, 403, "captcha", "/id_rsa", "%s")
	alerts := s.alerts("value=" + scanner)
	if len(alerts) != 1 || alerts[0].IncidentID != all[0].id || alerts[0].Scenario != all[0].scenario {
		t.Fatalf("alerts %+v, want one with incident %s", alerts, all[0].id)
	}
	all[0].alert = alerts[0].ID
	note(refusal{what: "challenge of a program", ip: scanner, scenario: "rampart/http-sensitive-files"},
		s.send(scanner, "GET", "/a1", "Accept", "*/*"), 403, "captcha", "/a1", `"incident":"%s"`)

	const banned, throttled = "203.0.113.2", "2001:db8:5::2"
	s.do("decisions", "add", banned, "--reason", "by hand")
	s.do("decisions", "add", throttled, "--type", "throttle", "--duration", "2m", "--reason", "too fast")
	byHand, tooFast := "manual: by hand", "manual: too fast"
	note(refusal{what: "ban, page", ip: banned, scenario: byHand},
		s.send(banned, "GET", "/b1", "Accept", acceptHTML), 403, "ban", "/b1", "<code>%s</code>")
	note(refusal{what: "ban, JSON", ip: banned, scenario: byHand},
		s.send(banned, "POST", "/b2", "Accept", "application/json"), 403, "ban", "/b2", `"incident":"%s"`)
	note(refusal{what: "ban, anything", ip: banned, scenario: byHand},
		s.send(banned, "GET", "/b3"), 403, "ban", "/b3", `"incident":"%s"`)
	note(refusal{what: "ban, HEAD", ip: banned, scenario: byHand},
		s.send(banned, "HEAD", "/b4", "Accept", acceptHTML), 403, "ban", "/b4", "")
	note(refusal{what: "ban, picture", ip: banned, scenario: byHand},
		s.send(banned, "GET", "/b5", "Sec-Fetch-Dest", "image", "Accept", "image/*"), 403, "ban", "/b5", "")
	for _, form := range []struct{ accept, uri, body string }{{acceptHTML, "/t1", "<code>%s</code>"}, {"application/json", "/t2", `"incident":"%s"`}} {
		a := s.send(throttled, "GET", form.uri, "Accept", form.accept)
		note(refusal{what: "throttle " + form.accept, ip: throttled, scenario: tooFast}, a, 429, "throttle", form.uri, form.body)
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 60 || n > 120 {
			t.Errorf("Retry-After %q, want what is left of two minutes", a.header.Get("Retry-After"))
		}
	}
	checkJSON(t, s.send(banned, "GET", "/", "Accept", "application/json"), 403)
	checkJSON(t, s.send(throttled, "GET", "/", "Accept", "application/json"), 429)

	var ids, times []string
	for _, r := range all {
		ids, times = append(ids, r.id), append(times, r.id[:10]) // the time, to the millisecond
	}
	if slices.Sort(ids); !slices.IsSorted(times) || len(slices.Compact(ids)) != len(all) {
		t.Errorf("incidents are not in the order of time, or not different: %q", ids)
	}

	s.explains(all, "at once")
	s.stop()
	s.start()
	s.explains(all, "after a restart")
	s.kill()
	s.start()
	s.explains(all, "after a kill")
	for _, ip := range []string{scanner, banned, throttled} {
		s.do("unban", ip)
	}
	s.explains(all, "when nothing is in force")
	s.stop()
	s.start()
	s.explains(all, "when nothing is in force, after a restart")

	for _, wrong := range []string{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", strings.Repeat("Z", 26)} {
		if out, err := s.rampart("why", wrong); err == nil || !strings.Contains(out, "incident") {
			t.Errorf("why %s: %v\n%s", wrong, err, out)
		}
	}
}

func checkJSON(t *testing.T, a answer, status int) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Incident string
		Status                        int
		RetryAfter                    int `json:"retry_after"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || p.Status != status || p.Title == "" || p.Detail == "" ||
		p.Incident != a.header.Get("X-Rampart-Incident") || (p.RetryAfter > 0) != (status == http.StatusTooManyRequests) {
		t.Errorf("%s: %+v", a.header.Get("Content-Type"), p)
	}
}

// explains asks why of each refusal, as JSON and in words.
func (s *shop) explains(all []refusal, when string) {
	s.t.Helper()
	for _, r := range all {
		w := s.why(r.id)
		switch {
		case len(w.Alerts) == 0 || w.Alerts[0].Scenario != r.scenario || w.Alerts[0].Source == nil || w.Alerts[0].Source.Value != r.ip:
			s.t.Errorf("%s, %s: the evidence is %+v", when, r.what, w.Alerts)
		case r.alert != 0 && w.Alerts[0].ID != r.alert:
			s.t.Errorf("%s, %s: alert %d, want %d", when, r.what, w.Alerts[0].ID, r.alert)
		case w.Incident != r.id || time.Since(w.At) > 10*time.Minute:
			s.t.Errorf("%s, %s: incident %s of %s", when, r.what, w.Incident, w.At)
		}
		out := s.do("why", r.id)
		for _, want := range []string{r.id, r.ip, r.scenario} {
			if !strings.Contains(out, want) {
				s.t.Errorf("%s, %s: why does not say %s:\n%s", when, r.what, want, out)
			}
		}
	}
}

// TestReservedPath: what lies below the challenge's own path is no refusal for
// somebody whom nothing is decided about.
func TestReservedPath(t *testing.T) {
	s := openShop(t, "")
	a := s.send("198.51.100.1", "GET", "/.rampart/verify", "Accept", acceptHTML)
	if id := a.header.Get("X-Rampart-Incident"); a.status != 303 || id != "" {
		t.Errorf("%d, incident %q", a.status, id)
	}
	if l := s.accessLog("/.rampart/verify"); l.Incident != "" {
		t.Errorf("the access log has %+v", l)
	}
}

// TestDetect: a site that only detects refuses nobody, whoever it is; what only
// such sites saw is a simulated alert, which refuses nobody elsewhere; together
// with another site's requests it is a real one.
func TestDetect(t *testing.T) {
	n := newNode(t)
	watched := freePort(t)
	n.write("Caddyfile", n.expand(basic)+fmt.Sprintf("http://127.0.0.1:%s {\n\trampart {\n\t\tmode detect\n\t}\n\trespond \"watched\" 200\n}\n", watched))
	n.start()
	at := func(port, ip, path string) answer {
		t.Helper()
		n.url = "http://127.0.0.1:" + port
		return n.send(ip, "GET", path, "Accept", acceptHTML, "User-Agent", "Mozilla/5.0")
	}
	const first, second = "203.0.113.1", "203.0.113.2"
	for i := range 30 {
		if a := at(watched, first, fmt.Sprintf("/.env.%d", i)); a.status != 200 || a.body != "watched" || a.remediation() != "" {
			t.Fatalf("request %d: %d %s", i, a.status, a.remediation())
		}
	}
	alerts := n.alerts("value=" + first)
	if len(alerts) == 0 {
		t.Fatal("a site that detects made no alert")
	}
	for _, al := range alerts {
		if !al.Simulated {
			t.Errorf("alert %d of %s is not simulated", al.ID, al.Scenario)
		}
		for _, d := range al.Decisions {
			if !d.Simulated {
				t.Errorf("decision %d is not simulated", d.ID)
			}
		}
	}
	if a := at(n.port, first, "/"); a.status != 200 {
		t.Errorf("the other site refuses with %d on the word of one that only detects", a.status)
	}
	if st := n.status(); len(st.Decisions) != 0 {
		t.Errorf("in force: %v", st.Decisions)
	}

	for i, port := range []string{watched, watched, n.port} {
		if a := at(port, second, fmt.Sprintf("/.env.%d", i)); a.status != 200 {
			t.Fatalf("%d at once", a.status)
		}
	}
	if a := at(n.port, second, "/.env.9"); a.remediation() != "captcha" {
		t.Errorf("half here, half there: %d %s", a.status, a.remediation())
	}
	if al := n.alerts("value=" + second); len(al) != 1 || al[0].Simulated {
		t.Errorf("alerts: %+v", al)
	}
	n.do("decisions", "add", second)
	if a := at(n.port, second, "/"); a.status != 403 {
		t.Errorf("banned, the enforcing site answers %d", a.status)
	}
	if a := at(watched, second, "/"); a.status != 200 || a.body != "watched" {
		t.Errorf("banned, the detecting site answers %d", a.status)
	}
}
