//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// agent runs CrowdSec's agent on auth.log, with the parsers and the scenario of its
// package that know sshd.
func (f *foreign) agent() {
	f.t.Helper()
	for _, item := range []string{"parsers/s00-raw/crowdsecurity/syslog-logs.yaml", "parsers/s01-parse/crowdsecurity/sshd-logs.yaml",
		"parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml", "scenarios/crowdsecurity/ssh-bf.yaml"} {
		to := f.path("crowdsec/" + strings.Replace(item, "crowdsecurity/", "", 1))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			f.t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(f.root, "usr/share/crowdsec/hub", item), to); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(f.root, "etc/crowdsec/patterns"), f.path("crowdsec/patterns")); err != nil {
		f.t.Fatal(err)
	}
	f.write("auth.log", "")
	f.write("crowdsec/acquis.yaml", f.expand("filenames: [{dir}/auth.log]\nlabels: {type: syslog}\n"))
	f.keep("agent.log", f.client("crowdsec", "-c", f.path("crowdsec/config.yaml"), "-no-api", "-info"))
	// It follows the log from where it ended when the agent came to it, and does not say
	// when that is: somebody else attacks until it is noticed.
	const probe = "203.0.113.200"
	last := time.Time{}
	until(f.t, "the agent reads", func() bool {
		if time.Since(last) > 3*time.Second && strings.Contains(f.read("agent.log"), "Starting processing data") {
			f.guess(probe, 8)
			last = time.Now()
		}
		return len(f.decided(probe)) > 0
	})
}

// TestClientAgent: an agent of CrowdSec finds an attack in a log that this node does
// not read, our profiles decide, and every bouncer hears of it, and of its end.
func TestClientAgent(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.customBouncer(f.key("custom"))
	f.agent()
	const ip = "203.0.113.9"
	f.refuses(ip, false)
	f.guess(ip, 8)
	f.banned(ip)
	f.refuses(ip, true)
	if got := f.called("add", ip); got["scenario"] != "crowdsecurity/ssh-bf" || got["origin"] != "crowdsec" {
		t.Errorf("the script was called with %v", got)
	}
	alerts := f.list("alerts", "list", "-i", ip)
	if len(alerts) == 0 {
		t.Fatal("cscli lists no alert")
	}
	a := alerts[len(alerts)-1]
	if a.Machine != operator || a.Scenario != "crowdsecurity/ssh-bf" || a.Source.Value != ip || len(a.Decisions) != 1 || len(a.Events) < 5 {
		t.Errorf("the alert: %+v", a)
	}
	users := 0
	for _, e := range a.Events {
		for _, m := range e.Meta {
			if m.Key == "target_user" && m.Value == "admin" {
				users++
			}
		}
	}
	if users < 5 {
		t.Errorf("%d events tell who was tried: %+v", users, a.Events)
	}
	f.tell("decision(s) deleted", "decisions", "delete", "-i", ip)
	f.called("del", ip)
	f.refuses(ip, false)

	// Agent and bouncer live through a restart of the node, whose tokens still count.
	f.stop()
	f.start()
	const later = "203.0.113.10"
	f.guess(later, 8)
	f.banned(later)
	f.refuses(later, true)
	f.called("add", later)
}
