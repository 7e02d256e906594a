//go:build linux

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wants compares lists of decisions.
func wants(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// TestClientCscliDecisions: what an operator does with cscli is done here, and rules
// the site at once.
func TestClientCscliDecisions(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.tell("You can successfully interact with Local API", "lapi", "status")
	hour := regexp.MustCompile(`\b(1h0m0s|59m\d+s)\b`)
	f.refuses("203.0.113.5", false)
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.5", "-d", "1h", "-R", "caught by hand")
	f.refuses("203.0.113.5", true)
	f.tell("successfully added", "decisions", "add", "-r", "198.51.100.0/24")
	f.refuses("198.51.100.77", true)
	f.tell("successfully added", "decisions", "add", "--scope", "username", "--value", "bob", "-t", "captcha")
	f.tell("successfully added", "decisions", "add", "-i", "2001:db8::5", "-d", "7d")
	f.refuses("2001:db8::5", true)

	wants(t, "all", f.listed(), "ban Ip 2001:db8::5", "ban Ip 203.0.113.5", "ban Range 198.51.100.0/24", "captcha username bob")
	wants(t, "by address", f.listed("-i", "203.0.113.5"), "ban Ip 203.0.113.5")
	wants(t, "by an address in a range", f.listed("-i", "198.51.100.1"), "ban Range 198.51.100.0/24")
	wants(t, "inside a range", f.listed("-r", "203.0.113.0/24", "--contained"), "ban Ip 203.0.113.5")
	wants(t, "by type", f.listed("-t", "captcha"), "captcha username bob")
	wants(t, "by value", f.listed("-v", "bob"), "captcha username bob")
	wants(t, "by scope", f.listed("--scope", "range"), "ban Range 198.51.100.0/24")
	wants(t, "by origin", f.listed("--origin", "CAPI"))
	if out := f.tell("203.0.113.5", "decisions", "list"); !strings.Contains(out, "caught by hand") || !hour.MatchString(out) {
		t.Errorf("for people: %s", out)
	}
	if out := f.tell("203.0.113.5", "decisions", "list", "-o", "raw"); !regexp.MustCompile(`cscli,Ip:203\.0\.113\.5,caught by hand,ban,,,1,` + hour.String()).MatchString(out) {
		t.Errorf("raw: %s", out)
	}

	f.tell("1 decision(s) deleted", "decisions", "delete", "-i", "203.0.113.5")
	f.refuses("203.0.113.5", false)
	f.tell("1 decision(s) deleted", "decisions", "delete", "-r", "198.51.100.0/24")
	f.refuses("198.51.100.77", false)
	last := f.list("decisions", "list", "-v", "bob")
	if len(last) != 1 || len(last[0].Decisions) != 1 {
		t.Fatalf("bob: %+v", last)
	}
	f.tell("1 decision(s) deleted", "decisions", "delete", "--id", itoa(last[0].Decisions[0].ID))
	f.fails("doesn't exist", "decisions", "delete", "--id", "999999")
	f.tell("1 decision(s) deleted", "decisions", "delete", "--all")
	wants(t, "after all", f.listed())
}

// TestClientCscliAllowed: a ban against an allowed address is taken, and does nothing.
func TestClientCscliAllowed(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.do("allowlist", "add", "203.0.113.6")
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.6")
	wants(t, "of an allowed address", f.listed())
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.7")
	f.refuses("203.0.113.7", true)
	if a := f.send("203.0.113.6", "GET", "/"); a.status != 200 {
		t.Errorf("the allowed address gets %d", a.status)
	}
	f.do("allowlist", "add", "203.0.113.7")
	f.refuses("203.0.113.7", false)
	wants(t, "of one that was allowed later", f.listed())
}

// TestClientCscliImport: files of decisions, with what cscli 1.4 makes of ranges.
func TestClientCscliImport(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.write("some.csv", "duration,scope,value\n24h,ip,203.0.113.1\n24h,range,198.51.100.0/24\n")
	f.write("some.json", `[{"duration":"4h","scope":"ip","type":"captcha","value":"203.0.113.2"}]`)
	f.tell("2 decisions successfully imported", "decisions", "import", "-i", f.path("some.csv"))
	f.tell("1 decisions successfully imported", "decisions", "import", "-i", f.path("some.json"))
	want := []string{"ban Ip 203.0.113.1", "ban Range 198.51.100.0/24", "captcha Ip 203.0.113.2"}
	wants(t, "imported", f.listed(), want...)
	wants(t, "by origin", f.listed("--origin", "cscli-import"), want...)
	f.refuses("198.51.100.9", true)
	f.tell("3 decision(s) deleted", "decisions", "delete", "--all")
	f.refuses("198.51.100.9", false)
}

// TestClientCscliAlerts lists, inspects and deletes alerts, and with them their bans.
func TestClientCscliAlerts(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.tell("", "decisions", "add", "-i", "203.0.113.5", "-R", "first")
	f.tell("", "decisions", "add", "-i", "203.0.113.6", "-R", "second")
	// One of the node's own: a scanner that asks for what is not there.
	f.scan("203.0.113.7")
	until(t, "its alert is listed", func() bool { return len(f.list("alerts", "list", "-i", "203.0.113.7")) > 0 })
	scanner := f.list("alerts", "list", "-i", "203.0.113.7")[0]
	if scanner.Source.Scope != "Ip" || scanner.Source.IP != "203.0.113.7" {
		t.Errorf("the scanner's alert: %+v", scanner)
	}
	id := itoa(scanner.ID)
	if out := f.tell("Active Decisions", "alerts", "inspect", "-d", id); !strings.Contains(out, "203.0.113.7") || !strings.Contains(out, "Events") ||
		!strings.Contains(out, "source_ip") {
		t.Errorf("inspected: %s", out)
	}
	f.fails("can't find alert", "alerts", "inspect", "999999")
	if got := f.list("alerts", "list", "-s", "second"); len(got) != 1 || got[0].Scenario != "second" || got[0].Machine != operator {
		t.Errorf("by scenario: %+v", got)
	}
	if got := f.list("alerts", "list", "--since", "1h", "-l", "1"); len(got) != 1 {
		t.Errorf("one of the last hour: %+v", got)
	}
	if got := f.list("alerts", "list", "--until", "1h"); len(got) != 0 {
		t.Errorf("until an hour ago: %+v", got)
	}
	f.refuses("203.0.113.5", true)
	f.tell("1 alert(s) deleted", "alerts", "delete", "-i", "203.0.113.5")
	f.refuses("203.0.113.5", false)
	f.refuses("203.0.113.6", true)
	f.tell("alert(s) deleted", "alerts", "delete", "--all")
	f.refuses("203.0.113.6", false)
	f.refuses("203.0.113.7", false)
	if got := f.list("alerts", "list"); len(got) != 0 {
		t.Errorf("after all: %+v", got)
	}
}

// TestClientCscliRegister: a machine that registers is let in once it is validated,
// and what it is told of itself outlives the node.
func TestClientCscliRegister(t *testing.T) {
	t.Parallel()
	f := foreignNode(t)
	f.tell("successfully added", "decisions", "add", "-i", "203.0.113.5")
	f.tell("Successfully registered", "lapi", "register", "--machine", "newcomer", "-u", f.lapi)
	if !strings.Contains(f.read("crowdsec/credentials.yaml"), "login: newcomer") {
		t.Fatalf("cscli wrote %s", f.read("crowdsec/credentials.yaml"))
	}
	f.fails("not validated", "lapi", "status")
	f.fails("", "decisions", "list")
	f.fails("exist", "lapi", "register", "--machine", operator, "-u", f.lapi)
	f.do("machines", "validate", "newcomer")
	f.stop()
	f.start()
	f.tell("You can successfully interact with Local API", "lapi", "status")
	wants(t, "seen by the newcomer", f.listed(), "ban Ip 203.0.113.5")
	f.tell("1 decision(s) deleted", "decisions", "delete", "-i", "203.0.113.5")
}
