package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// victim is the third party that everything here tries to get banned.
const (
	victim  = "203.0.113.9"
	victim6 = "2001:db8:bad::9"
)

// onlyNames checks that every alert and decision of the node is about one of the
// true sources, that these were all caught, and that no event kept as evidence
// came from anybody else.
func (n *node) onlyNames(sources ...string) {
	n.t.Helper()
	for _, s := range sources {
		until(n.t, s+" is caught", func() bool { return len(n.alerts("value="+s)) > 0 })
	}
	until(n.t, "nothing is left to do", func() bool { return n.status().Events.Queued == 0 })
	for _, a := range n.alerts("limit=10000") {
		if !slices.Contains(sources, a.GetValue()) || !slices.Contains(sources, a.Source.IP) {
			n.t.Errorf("an alert names %s: %s", a.GetValue(), a.Message)
		}
		for _, e := range a.Events {
			if ip := e.GetMeta("source_ip"); !slices.Contains(sources, ip) {
				n.t.Errorf("%s has an event of %s: %+v", a.Scenario, ip, e)
			}
		}
	}
	for _, d := range ask[[]decisions.Decision](n, "GET", "/rampart/decisions?all=true", nil) {
		if !slices.ContainsFunc(sources, func(s string) bool { return covers(d.Value, s) }) || covers(d.Value, victim) || covers(d.Value, victim6) {
			n.t.Errorf("decided: %s of %s for %s", d.Type, d.Value, d.Scenario)
		}
	}
}

// covers: value, an address or a network, holds the address.
func covers(value, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	if p, err := netip.ParsePrefix(value); err == nil {
		return p.Contains(a)
	}
	v, err := netip.ParseAddr(value)
	return err == nil && v == a
}

// forgedNames are SSH user names that look like the rest of a line.
func forgedNames() []string {
	var names []string
	for _, ip := range []string{victim, victim6} {
		names = append(names,
			"x from "+ip+" port 22 ssh2",
			"x from "+ip+" port 22 ssh2: RSA SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"x from "+ip,
			"from "+ip+" port 22",
			"invalid user root from "+ip+" port 22 ssh2",
			"root from "+ip+" port 22 ssh2 Failed password for root from "+ip+" port 22 ssh2",
			`x from `+ip+` port 22 ssh2\nFailed password for root from `+ip+` port 22 ssh2`,
			`x from `+ip+` port 22 ssh2#012Nov 24 07:00:00 host sshd[1]: Failed password for root from `+ip+` port 22 ssh2`,
			"x "+ip+" port 22 [preauth]",
			"x; logname= uid=0 euid=0 tty=ssh ruser= rhost="+ip,
			"rhost="+ip+" ",
			" ",
			"",
			ip,
			strings.Repeat("a from "+ip+" port 22 ssh2 ", 60),
			"x from "+ip+" port 22 ssh2\tfrom",
			"x from "+ip+" port 22 ssh2 from \x80\xff",
		)
	}
	return names
}

// sshForms are the lines in which sshd repeats what the client sent as its name;
// %[1]s is the name, %[2]s the true source.
var sshForms = []string{
	"Failed password for invalid user %[1]s from %[2]s port 40022 ssh2",
	"Failed password for %[1]s from %[2]s port 40022 ssh2",
	"Failed none for invalid user %[1]s from %[2]s port 40022 ssh2",
	"Failed publickey for %[1]s from %[2]s port 40022 ssh2: RSA SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
	"Failed publickey for %[1]s from %[2]s port 40022 ssh2: ED25519-CERT SHA256:abc ID %[1]s (serial 0) CA ED25519 SHA256:def",
	`Failed hostbased for %[1]s from %[2]s port 40022 ssh2: RSA SHA256:abc, client user "%[1]s", client host "%[1]s"`,
	"Invalid user %[1]s from %[2]s port 40022",
	"Invalid user %[1]s from %[2]s",
	"message repeated 3 times: [ Failed password for invalid user %[1]s from %[2]s port 40022 ssh2]",
	"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%[2]s  user=%[1]s",
	"error: PAM: Authentication failure for illegal user %[1]s from %[2]s",
	"error: maximum authentication attempts exceeded for invalid user %[1]s from %[2]s port 40022 ssh2 [preauth]",
	"Connection closed by invalid user %[1]s %[2]s port 40022 [preauth]",
	"Disconnecting invalid user %[1]s %[2]s port 40022: Too many authentication failures [preauth]",
	"Bad protocol version identification '%[1]s' from %[2]s port 40022",
	"Received disconnect from %[2]s port 40022:11: %[1]s [preauth]",
	"Received disconnect from %[2]s port 40022:11: Failed password for %[1]s from %[2]s port 40022 ssh2",
	"banner exchange: Connection from %[2]s port 40022: %[1]s",
	"Unable to negotiate with %[2]s port 40022: no matching key exchange method found. Their offer: %[1]s [preauth]",
	"error: Received disconnect from %[2]s port 40022:3: com.jcraft.jsch.JSchException: %[1]s",
	"reverse mapping checking getaddrinfo for %[1]s [%[2]s] failed.",
	"Address %[2]s maps to %[1]s, but this does not map back to the address.",
}

// each calls fn with every message that a form and a name make.
func forgedMessages(source string, fn func(message string)) {
	for _, form := range sshForms {
		for _, name := range forgedNames() {
			fn(fmt.Sprintf(form, name, source))
		}
	}
}

// TestForgedSSH lets one source per log form send every forged name.
func TestForgedSSH(t *testing.T) {
	n := newNode(t)
	headers := map[string]string{} // true source → line without its message
	add := func(source, header string) {
		headers[source] = header
	}
	now := time.Now()
	add("198.51.100.1", now.Format(time.Stamp)+" host sshd[4242]: ")
	add("198.51.100.2", now.Format(time.RFC3339Nano)+" host sshd-session[4242]: ")
	add("198.51.100.3", "<38>1 "+now.Format("2006-01-02T15:04:05.000000Z07:00")+` host sshd 4242 - [x@1 y="\"]"] `)
	add("198.51.100.4", "<38>"+now.Format(time.Stamp)+" host sshd[4242]: ")
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(`{
	admin {admin}
	rampart {
		data_dir {state}
		source file {dir}/auth.log
		source journald {
			match _COMM=sshd
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`))
	const journal = "198.51.100.5"
	n.fakeJournal(journalEntries(journal))
	n.start()
	n.followed()
	lines := 0
	for source, header := range headers {
		forgedMessages(source, func(m string) {
			n.add("auth.log", header+m)
			lines++
		})
	}
	until(t, "all is read", func() bool {
		for _, s := range n.status().Sources {
			if s.Type == "file" {
				return s.Lines == int64(lines)
			}
		}
		return false
	})
	n.onlyNames("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", journal)
	if len(n.decided(journal)) == 0 {
		t.Error("the source in the journal is not banned")
	}
}

// fakeJournal puts a journalctl before the real one, which prints entries once.
func (n *node) fakeJournal(entries []string) {
	n.t.Helper()
	n.write("journal.json", strings.Join(entries, "\n")+"\n")
	n.write("bin/journalctl", "#!/bin/sh\ncat '"+n.path("journal.json")+"'\nexec sleep 600\n")
	if err := os.Chmod(n.path("bin/journalctl"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	n.t.Setenv("PATH", n.path("bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// journalEntries are the forged messages as the journal has them: line breaks and
// all, as text, as bytes, as one of several values.
func journalEntries(source string) []string {
	var out []string
	add := func(message any) {
		b, err := json.Marshal(map[string]any{"__CURSOR": fmt.Sprintf("s=%d", len(out)), "_COMM": "sshd", "_PID": "77",
			"SYSLOG_IDENTIFIER": "sshd", "_HOSTNAME": "host", "MESSAGE": message,
			"__REALTIME_TIMESTAMP": fmt.Sprint(time.Now().UnixMicro())})
		if err != nil {
			panic(err) // strings and numbers
		}
		out = append(out, string(b))
	}
	bytesOf := func(s string) (b []int) {
		for i := range len(s) {
			b = append(b, int(s[i]))
		}
		return b
	}
	forgedMessages(source, func(m string) {
		add(m)
		add(strings.ReplaceAll(m, `\n`, "\n"))
		add(bytesOf(strings.ReplaceAll(m, `\n`, "\r\n")))
		add([]string{m, "Failed password for root from " + victim + " port 22 ssh2"})
	})
	whole := "Failed password for root from " + victim + " port 22 ssh2"
	for _, sep := range []string{"\n", "\r", "\u2028", "\x00", "\n\n" + time.Now().Format(time.Stamp) + " host sshd[1]: "} {
		add("Failed password for invalid user x" + sep + whole + sep + " from " + source + " port 40022 ssh2")
		add("Connection closed by " + source + " port 40022" + sep + whole)
		add("Invalid user" + sep + whole + sep + "from " + source + " port 40022")
	}
	// The same in the fields around the message.
	for _, key := range []string{"SYSLOG_IDENTIFIER", "_HOSTNAME", "SYSLOG_PID"} {
		b, err := json.Marshal(map[string]any{"__CURSOR": "s=" + key, "_COMM": "sshd", "MESSAGE": "hello",
			key: "sshd[1]: " + whole + "\nsshd"})
		if err != nil {
			panic(err)
		}
		out = append(out, string(b))
	}
	return out
}
