package e2e

import (
	"fmt"
	"strings"
	"time"
)

// reloadCheck is what must hold after a reload.
type reloadCheck = func(s *reloadStage)

func allOf(checks ...reloadCheck) reloadCheck {
	return func(s *reloadStage) {
		for _, c := range checks {
			c(s)
		}
	}
}

// allowedGets: the client that is banned, and allowed at times, gets this status.
func allowedGets(want int) reloadCheck {
	return func(s *reloadStage) {
		if a := s.n.send("198.18.0.7", "GET", "/"); a.status != want {
			s.t.Errorf("the client that is banned, and allowed at times, got %d, want %d", a.status, want)
		}
	}
}

// offers: the page for banned clients has the one text and not the others.
func offers(want string, not ...string) reloadCheck {
	return func(s *reloadStage) {
		body := s.n.send("198.18.1.1", "GET", "/", "Accept", "text/html").body
		for _, n := range not {
			if strings.Contains(body, n) {
				s.t.Errorf("the page offers %q", n)
			}
		}
		if !strings.Contains(body, want) {
			s.t.Errorf("the page does not offer %q:\n%s", want, body)
		}
	}
}

// addedMakes: a request for /added makes so many alerts.
func addedMakes(want int) reloadCheck {
	return func(s *reloadStage) {
		count := func() int { return len(s.n.alerts("scenario=added&limit=1000")) }
		before := count()
		s.n.send("198.51.100.2", "GET", "/added")
		until(s.t, "the request is seen", func() bool { return s.n.status().Events.Queued == 0 })
		if got := count() - before; got != want {
			s.t.Errorf("scenario added made %d alerts, want %d", got, want)
		}
	}
}

func decidesOn(from, want string) reloadCheck {
	return func(s *reloadStage) { s.decides(from, want) }
}

func lineCounted(line int, want bool) reloadCheck {
	return func(s *reloadStage) { s.other(line, want) }
}

// steps are the reloads. Each failing one comes with changes that must not show.
func (s *reloadStage) steps(occupied string) []reloadStep {
	const (
		more    = "scenarios {dir}/added.yaml\n"
		ops     = "contact ops@example.com\n"
		profile = "profiles {dir}/profiles.yaml\n"
		source  = "source file {dir}/other.log {\nlabels type=nginx\nfrom_start\n}\n"
		allow   = "allow 198.18.0.0/24\n"
		second  = "http://127.0.0.1:%s {\nrampart\nrespond second\n}\n"
	)
	return []reloadStep{
		{"added scenario", reloading{site: "1", rampart: more}, "", allOf(addedMakes(1), allowedGets(403))},
		{"bad YAML, and an allowed range", reloading{site: "2", rampart: allow + "scenarios {dir}/broken.yaml\n"}, "broken.yaml:3", allOf(addedMakes(1), allowedGets(403))},
		{"changed contact", reloading{site: "3", rampart: more + ops}, "", allOf(offers("ops@example.com"), addedMakes(1))},
		{"occupied port, other contact, allowed range, no scenario, no source", reloading{site: "4", rampart: allow + "contact nobody@example.com\n",
			more: "http://" + occupied + " {\nrampart\n}\n"}, "address already in use", allOf(offers("ops@example.com", "nobody@"), allowedGets(403), addedMakes(1))},
		{"removed scenario, changed profile", reloading{site: "5", rampart: ops + profile}, "", allOf(addedMakes(0), decidesOn("198.51.100.50", "ban"))},
		{"unknown option", reloading{site: "6", rampart: "nonsense\n"}, "nonsense", decidesOn("198.51.100.51", "ban")},
		{"added source", reloading{site: "7", rampart: ops + source}, "", allOf(lineCounted(1, true), decidesOn("198.51.100.52", "captcha"))},
		{"bad option, without the source", reloading{site: "8", rampart: profile + "ipv6_prefix 99\n"}, "ipv6_prefix 99", allOf(lineCounted(2, true), decidesOn("198.51.100.53", "captcha"))},
		{"removed source", reloading{site: "9", rampart: ops}, "", lineCounted(3, false)},
		{"source again, second site", reloading{site: "10", rampart: ops + source, content: "rampart/sshd", more: fmt.Sprintf(second, freePort(s.t))}, "", allOf(lineCounted(3, true), lineCounted(4, true))},
		{"occupied port again", reloading{site: "11", rampart: source, more: "http://" + occupied + " {\nrampart\n}\n"}, "address already in use", allOf(lineCounted(5, true), offers("ops@example.com"))},
		{"another data directory", reloading{site: "12", rampart: allow, dir: "{dir}/elsewhere"}, "data_dir", allOf(lineCounted(5, true), allowedGets(403))},
		{"as at first", reloading{site: "0"}, "", allOf(allowedGets(403), addedMakes(0))},
	}
}

// decides overflows the bucket of a client of its own and checks what follows.
func (s *reloadStage) decides(from, want string) {
	s.t.Helper()
	var a answer
	for range 5 {
		a = s.n.send(from, "GET", "/fill")
	}
	if a.remediation() != want {
		s.t.Errorf("%s met %q at the fifth request, want %q", from, a.remediation(), want)
	}
	if got := s.n.decided(from); len(got) != 1 || got[0].Type != want {
		s.t.Errorf("decided about %s: %+v, want one %s", from, got, want)
	}
	if _, err := s.n.try("DELETE", "/rampart/decisions?value="+from, nil); err != nil {
		s.t.Error(err)
	}
}

// other writes line i to the second log unless it is there already, and checks
// whether it is counted.
func (s *reloadStage) other(i int, want bool) {
	s.t.Helper()
	path := fmt.Sprintf("/line/other-%d", i)
	if !strings.Contains(s.n.read("other.log"), path) {
		s.n.add("other.log", strings.Replace(writerLine(0), "/line/0", path, 1))
	}
	if want {
		until(s.t, path+" is counted", func() bool { return s.n.linesSeen()[path] == 1 })
		return
	}
	for range 25 { // it would take the tail far less
		time.Sleep(20 * time.Millisecond)
		if s.n.linesSeen()[path] != 0 {
			s.t.Errorf("%s is counted although its source was removed", path)
			return
		}
	}
}
