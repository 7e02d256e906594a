package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// mentions checks that a text has all parts, whatever their order. The text may be
// a log line, in which quotes are escaped.
func mentions(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	text = strings.ReplaceAll(text, `\"`, `"`)
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not mention %q:\n%s", what, p, tail(text, 2000))
		}
	}
}

// watched is a site whose only scenario is an operator's file.
const watched = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		collection none
		scenarios {dir}/scenarios.d
		profiles {dir}/profiles.yaml
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello" 200
}
`

const (
	twiceScenario = "type: leaky\nname: local/twice\nfilter: evt.Meta.http_path == '/twice'\n" +
		"groupby: evt.Meta.source_ip\ncapacity: 1\nleakspeed: 1m\n"
	hourProfile = "name: ban\nfilters:\n  - Alert.Remediation\ndecisions:\n  - type: ban\n    duration: 1h\n"
)

// TestBadYAML breaks an operator's files in every way: under a running node, by a
// reload, at the start. The error names each file and line, and what ran before
// runs on.
func TestBadYAML(t *testing.T) {
	instead := func(old, with string) string { return strings.Replace(twiceScenario, old, with, 1) }
	for _, c := range []badFiles{
		{"scenarios", []badFile{
			{"scenarios.d/twice.yaml", "type: leaky\nname: x\n filter: 'a'\n", []string{"twice.yaml:3"}},
			{"scenarios.d/key.yaml", twiceScenario + "leekspeed: 10s\n", []string{"key.yaml:7", "leekspeed"}},
			{"scenarios.d/kind.yaml", instead("capacity: 1", "capacity: lots"), []string{"kind.yaml:5", "lots"}},
			{"scenarios.d/missing.yaml", instead("leakspeed: 1m\n", ""), []string{"missing.yaml:1", "leakspeed"}},
			{"scenarios.d/type.yaml", instead("== '/twice'", "== 404"), []string{"type.yaml:3", "column 20", "quote the constant"}},
			{"scenarios.d/name.yaml", instead("evt.Meta.", "evt.Mata."), []string{"name.yaml:3", "column 5", "did you mean Meta?"}},
			{"scenarios.d/text.yaml", instead(" == '/twice'", ""), []string{"text.yaml:3", "true or false is needed"}},
			{"scenarios.d/syntax.yaml", instead("'/twice'", "('/twice'"), []string{"syntax.yaml:3", "column 31", "it ends too early"}},
			{"scenarios.d/junk.yaml", "\xff\xfe\x00t", []string{"junk.yaml:1"}},
		}},
		{"profile", []badFile{{"profiles.yaml", strings.Replace(hourProfile, "1h", "an hour", 1), []string{"profiles.yaml:6", "an hour"}}}},
		{"filter of a profile", []badFile{{"profiles.yaml", strings.Replace(hourProfile, "Alert.Remediation", "Alert.Remediation == 1", 1),
			[]string{"profiles.yaml:3", "column 19", "true or false already"}}}},
		{"file gone", []badFile{{"profiles.yaml", "", []string{"profiles.yaml", "no such file"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			c.try(t)
		})
	}
}

// badFiles are files of the operator's that go wrong together.
type badFiles struct {
	name  string
	files []badFile
}

// badFile is a file with something wrong in it; an empty text stands for no file.
type badFile struct {
	file, text string
	parts      []string // of the error
}

// blamed checks that a text tells what is wrong with each file.
func (c badFiles) blamed(t *testing.T, what, text string) {
	t.Helper()
	for _, f := range c.files {
		mentions(t, what, text, f.parts...)
	}
}

func (c badFiles) try(t *testing.T) {
	n := newNode(t)
	n.write("scenarios.d/twice.yaml", twiceScenario)
	n.write("profiles.yaml", hourProfile)
	n.write("Caddyfile", n.expand(watched))
	n.start()
	client := 0
	works := func() {
		t.Helper()
		client++
		ip := fmt.Sprintf("203.0.113.%d", client)
		n.send(ip, "GET", "/twice")
		if a := n.send(ip, "GET", "/twice"); a.status != 403 {
			t.Errorf("the last good state is not in force: %s got %d", ip, a.status)
		}
	}
	works()
	good := map[string]string{}
	for _, f := range c.files {
		good[f.file] = n.read(f.file)
		n.put(f.file, f.text)
	}
	until(t, "the change is noticed", func() bool { return n.status().Watch.Problem != "" })
	c.blamed(t, "the problem", n.status().Watch.Problem)
	out, err := n.rampart("status")
	if err != nil {
		t.Errorf("status: %v", err)
	}
	mentions(t, "status", out, "last good state is in force")
	c.blamed(t, "status", out)
	works()
	if err := n.reload(watched); err == nil {
		t.Error("a reload was accepted")
	} else {
		c.blamed(t, "the reload's error", err.Error())
	}
	works()
	n.write("second.Caddyfile", strings.Replace(n.read("Caddyfile"), "admin "+n.admin, "admin off", 1))
	for _, verb := range []string{"run", "validate"} {
		out, err := n.command(verb, "--config", n.path("second.Caddyfile"), "--adapter", "caddyfile").CombinedOutput()
		if err == nil {
			t.Errorf("%s took it", verb)
		}
		c.blamed(t, verb, string(out))
	}
	for file, text := range good {
		n.put(file, text)
	}
	until(t, "the repair is noticed", func() bool { return n.status().Watch.Problem == "" })
	works()
}

// put writes a file; no text means no file.
func (n *node) put(file, text string) {
	n.t.Helper()
	if n.write(file, text); text == "" {
		if err := os.Remove(n.path(file)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// TestUnknownOption: a Caddyfile with an option that is none is refused, by line
// and with the options there are.
func TestUnknownOption(t *testing.T) {
	n := newNode(t)
	const file = "{\n\tadmin {admin}\n\trampart {\n\t\tdata_dir {state}\n%s\t}\n}\nhttp://127.0.0.1:{port} {\n\trampart {\n\t\tmode enforce\n%s\t}\n\trespond hello\n}\n"
	for _, c := range []struct {
		global, site string
		line         int
		parts        []string
	}{
		{"\t\tscenarois ./x\n", "", 5, []string{`unknown option "scenarois"`, "scenarios", "profiles", "allow", "firewall"}},
		{"\t\tsource file /x {\n\t\t\tlabel type=syslog\n\t\t}\n", "", 6, []string{`unknown option "label"`, "labels", "exclude", "from_start"}},
		{"\t\tsource journal\n", "", 5, []string{`"journal"`, "journald"}},
		{"\t\tsource file /x {\n\t\t\tlabels syslog\n\t\t}\n", "", 6, []string{`"syslog"`, "name=value"}},
		{"\t\tfirewall {\n\t\t\tmode iptables\n\t\t}\n", "", 6, []string{`"iptables"`, "nftables", "dry-run", "off"}},
		{"\t\tfirewall {\n\t\t\tbackend nft\n\t\t}\n", "", 6, []string{`unknown option "backend"`, "mode", "table", "owner", "keep", "hits"}},
		{"\t\tcaptcha {\n\t\t\tlength 6\n\t\t}\n", "", 6, []string{`unknown option "length"`, "digits", "ttl", "grace", "min_solve"}},
		{"\t\tlimits {\n\t\t\tbuckets many\n\t\t}\n", "", 6, []string{`"many"`, "whole number"}},
		{"\t\tipv6_prefix 48\n", "", 0, []string{"48", "64", "128"}},
		{"\t\tcollection rampart/ssh\n", "", 0, []string{"collection rampart/ssh", "did you mean rampart/sshd?"}},
		{"\t\tallow 192.0.2.300\n", "", 0, []string{`"192.0.2.300"`, "192.0.2.0/24"}},
		{"\t\tcaptcha {\n\t\t\tttl soon\n\t\t}\n", "", 6, []string{`"soon"`, "1h30m"}},
		{"", "\t\tmode block\n", 10, []string{`"block"`, "enforce", "detect"}},
		{"", "\t\tbypass /x\n", 10, []string{`unknown option "bypass"`, "mode", "block"}},
	} {
		n.write("Caddyfile", n.expand(fmt.Sprintf(file, c.global, c.site)))
		out, err := n.command("validate", "--config", n.path("Caddyfile"), "--adapter", "caddyfile").CombinedOutput()
		if err == nil {
			t.Errorf("accepted: %s%s", c.global, c.site)
		}
		if c.line > 0 {
			c.parts = append(c.parts, fmt.Sprintf("Caddyfile:%d", c.line))
		}
		mentions(t, strings.TrimSpace(c.global+c.site), string(out), c.parts...)
	}
}

// TestAbsurdForwarding: whatever stands in X-Forwarded-For, the request is answered
// or refused as too large, and the node goes on.
func TestAbsurdForwarding(t *testing.T) {
	n := startNode(t, basic)
	for _, v := range []string{
		strings.Repeat("203.0.113.9, ", 100) + "198.51.100.1",
		strings.Repeat(",", 10_000),
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		strings.Repeat("1", 100_000),
		"999.999.999.999", "::::::::::", "[::1", "fe80::1%" + strings.Repeat("z", 1000), "0x7f.1", "127.1", "2130706433",
		"::ffff:0:0", "203.0.113.9:99999", "\"", "%00", "null",
	} {
		if a := n.send(v, "GET", "/"); a.status != 200 && (a.status != 431 || len(v) < 50_000) {
			t.Errorf("%.40q got %d", v, a.status)
		}
	}
	conn := n.raw(t, "127.0.0.1", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Forwarded-For: "+strings.Repeat("203.0.113.9, ", 200_000)+"\r\n\r\n")
	if !strings.HasPrefix(conn, "HTTP/1.1 431") {
		t.Errorf("2.6 MB of header got %.60q", conn)
	}
	if a := n.send("198.51.100.1", "GET", "/"); a.status != 200 {
		t.Errorf("a visitor got %d afterwards", a.status)
	}
	if s := n.status(); s.Requests.Unknown == 0 || len(s.Problems) == 0 {
		t.Errorf("junk was not counted: %+v, problems %v", s.Requests, s.Problems)
	}
}
