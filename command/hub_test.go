package command

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/lint"
	"github.com/rampart-edge/rampart/replay"
)

// TestLintTheHub: everything in the Hub loads, and nothing of it is found fault with
// that works; without the parsers that scenarios rely on, it is.
func TestLintTheHub(t *testing.T) {
	hub, data := testkit.Shared(t, "hub"), testkit.Shared(t, "hub-data")
	out, err := run(t, &exchange{}, "lint", "--hub", hub, "--data", data, "--everything", "--costs", "-o", "json")
	var r lint.Report
	if jerr := json.Unmarshal([]byte(out), &r); err != nil || jerr != nil {
		t.Fatal(err, jerr)
	}
	for _, f := range r.Findings {
		t.Error(f.String())
	}
	if len(r.Costs) < 500 {
		t.Errorf("only %d filters have a cost", len(r.Costs))
	}
	out, err = run(t, &exchange{}, "lint", "--hub", hub, "--data", data, "--collection", "none", "--scenario", "crowdsecurity/proftpd-bf")
	if err != nil || !strings.Contains(out, `no parser here writes "ftp_failed_auth" to evt.Meta.log_type`) || !strings.HasSuffix(out, "0 errors, 1 warning\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestExplainTheHub: a line through the Hub's parsers, which take the place of the
// built-in ones.
func TestExplainTheHub(t *testing.T) {
	hub, data := testkit.Shared(t, "hub"), testkit.Shared(t, "hub-data")
	out, err := run(t, &exchange{}, "explain", "--hub", hub, "--data", data, "--collection", "crowdsecurity/sshd", "--collection", "crowdsecurity/linux",
		"--type", "syslog", "2026-03-01T11:00:00Z h sshd[1]: Failed password for root from 1.2.3.4 port 4000 ssh2", "-o", "json")
	var x replay.Explanation
	if jerr := json.Unmarshal([]byte(out), &x); err != nil || jerr != nil {
		t.Fatal(err, jerr, out)
	}
	took, nodes, country := map[string]string{}, map[string]bool{}, ""
	for _, p := range x.Pours {
		took[p.Scenario] = p.Outcome
	}
	for _, s := range x.Steps {
		nodes[s.Node] = true
		for _, c := range s.Changes {
			if c.Field == "Meta.IsoCode" {
				country = c.New
			}
		}
	}
	if took["crowdsecurity/ssh-bf"] != replay.Poured || took["crowdsecurity/ssh-slow-bf"] != replay.Poured || country != "AU" {
		t.Errorf("took %v, country %q", took, country)
	}
	for _, builtin := range []string{"rampart/syslog", "rampart/sshd-logs", "rampart/dateparse"} {
		if nodes[builtin] {
			t.Errorf("%s ran beside the Hub's", builtin)
		}
	}
}
