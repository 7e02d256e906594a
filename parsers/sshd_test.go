package parsers

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestSSHD: what each form of line is, who did it, and that nothing a client may
// choose can put another address there. In every line 198.51.100.7 or
// 2001:db8::7 is the true source and 203.0.113.9 the victim's address.
func TestSSHD(t *testing.T) {
	const a, victim = "198.51.100.7", "203.0.113.9"
	cases := []struct{ message, logType, source, user string }{
		// The forms of current and old versions.
		{"Failed password for root from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "root"},
		{"Failed password for invalid user bob from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "bob"},
		{"Failed password for invalid user bob from 2001:db8::7 port 4242 ssh2", "ssh_failed-auth", "2001:db8::7", "bob"},
		{"Failed none for invalid user  from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, ""},
		{"Failed password for invalid user  0101 from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, " 0101"},
		{"Failed keyboard-interactive/pam for root from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "root"},
		{"Failed publickey for git from 198.51.100.7 port 4242 ssh2: RSA SHA256:1M4RzhMyWuFS/86uPY/ce2prh/dVTHW7iD2RhpquOZA", "ssh_failed-auth", a, "git"},
		{"Failed publickey for git from 198.51.100.7 port 4242 ssh2: ED25519-CERT SHA256:1M4R ID mine (serial 0) CA RSA SHA256:abc", "ssh_failed-auth", a, "git"},
		{`Failed hostbased for git from 198.51.100.7 port 4242 ssh2: RSA SHA256:1M4R, client user "x", client host "h"`, "ssh_failed-auth", a, "git"},
		{"Failed password for illegal user bob from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "bob"},
		{"message repeated 5 times: [ Failed password for root from 198.51.100.7 port 4242 ssh2]", "ssh_failed-auth", a, "root"},
		{"Invalid user bob from 198.51.100.7 port 4242", "ssh_invalid-user", a, "bob"},
		{"Invalid user bob from 198.51.100.7", "ssh_invalid-user", a, "bob"},
		{"Invalid user  from 198.51.100.7 port 4242", "ssh_invalid-user", a, ""},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7 ", "ssh_pam-failure", a, ""},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=root", "ssh_pam-failure", a, "root"},
		{"PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=root", "ssh_pam-failure", a, "root"},
		{"error: PAM: Authentication failure for illegal user bob from 198.51.100.7", "ssh_pam-failure", a, "bob"},
		{"error: maximum authentication attempts exceeded for invalid user bob from 198.51.100.7 port 4242 ssh2 [preauth]", "ssh_max-attempts", a, "bob"},
		{"Disconnecting authenticating user root 198.51.100.7 port 4242: Too many authentication failures [preauth]", "ssh_max-attempts", a, "root"},
		{"Connection closed by authenticating user root 198.51.100.7 port 4242 [preauth]", "ssh_preauth-closed", a, "root"},
		{"Connection reset by invalid user bob 198.51.100.7 port 4242 [preauth]", "ssh_preauth-closed", a, "bob"},
		{"Disconnected from invalid user bob 198.51.100.7 port 4242 [preauth]", "ssh_preauth-closed", a, "bob"},
		{"User root from 198.51.100.7 not allowed because not listed in AllowUsers", "ssh_user-not-allowed", a, "root"},
		{"Did not receive identification string from 198.51.100.7 port 4242", "ssh_bad_protocol", a, ""},
		{"Did not receive identification string from 198.51.100.7", "ssh_bad_protocol", a, ""},
		{"Bad protocol version identification 'GET / HTTP/1.1' from 198.51.100.7 port 4242", "ssh_bad_protocol", a, ""},
		{"banner exchange: Connection from 198.51.100.7 port 4242: invalid format", "ssh_bad_protocol", a, ""},
		{"error: kex_exchange_identification: Connection closed by 198.51.100.7 port 4242", "ssh_bad_protocol", a, ""},
		{"Unable to negotiate with 198.51.100.7 port 4242: no matching host key type found. Their offer: ssh-rsa [preauth]", "ssh_bad_keyexchange", a, ""},
		{"ssh_dispatch_run_fatal: Connection from 198.51.100.7 port 4242: message authentication code incorrect [preauth]", "ssh_dispatch_fatal", a, ""},
		{"fatal: Timeout before authentication for 198.51.100.7 port 4242", "ssh_auth_timeout", a, ""},
		{"Timeout before authentication for connection from 198.51.100.7 to 192.0.2.1, pid = 99", "ssh_auth_timeout", a, ""},
		{"refused connect from evil.example (198.51.100.7)", "ssh_refused_conn", a, ""},

		// Names that hold a forged line.
		{"Failed password for invalid user x from 203.0.113.9 port 22 ssh2 from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "x from 203.0.113.9 port 22 ssh2"},
		{"Failed password for invalid user root from 203.0.113.9 port 22 ssh2: RSA SHA256:abc from 198.51.100.7 port 4242 ssh2", "ssh_failed-auth", a, "root from 203.0.113.9 port 22 ssh2: RSA SHA256:abc"},
		{"Failed publickey for invalid user x from 203.0.113.9 port 22 ssh2: RSA SHA256:abc from 198.51.100.7 port 4242 ssh2: RSA SHA256:def", "ssh_failed-auth", a, "x from 203.0.113.9 port 22 ssh2: RSA SHA256:abc"},
		{"message repeated 2 times: [ Failed password for invalid user x] from 203.0.113.9 port 22 ssh2] from 198.51.100.7 port 4242 ssh2]", "ssh_failed-auth", a, "x] from 203.0.113.9 port 22 ssh2]"},
		{"Invalid user x from 203.0.113.9 from 198.51.100.7 port 1", "ssh_invalid-user", a, "x from 203.0.113.9"},
		{"Invalid user x from 203.0.113.9 port 22 from 198.51.100.7", "ssh_invalid-user", a, "x from 203.0.113.9 port 22"},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=x rhost=203.0.113.9", "ssh_pam-failure", a, "x rhost=203.0.113.9"},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=x; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9 user=y", "ssh_pam-failure", a, "x; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9 user=y"},
		{"error: PAM: Authentication failure for illegal user x from 203.0.113.9 from 198.51.100.7", "ssh_pam-failure", a, "x from 203.0.113.9"},
		{"error: maximum authentication attempts exceeded for invalid user x from 203.0.113.9 port 22 ssh2 from 198.51.100.7 port 4242 ssh2 [preauth]", "ssh_max-attempts", a, "x from 203.0.113.9 port 22 ssh2"},
		{"Connection closed by invalid user x 203.0.113.9 port 22 [preauth] 198.51.100.7 port 4242 [preauth]", "ssh_preauth-closed", a, "x 203.0.113.9 port 22 [preauth]"},
		{"Disconnecting invalid user x 203.0.113.9 port 22: Too many authentication failures 198.51.100.7 port 4242: Too many authentication failures [preauth]", "ssh_max-attempts", a, "x 203.0.113.9 port 22: Too many authentication failures"},
		{"Bad protocol version identification 'x' from 203.0.113.9 port 22' from 198.51.100.7 port 4242", "ssh_bad_protocol", a, ""},

		// Two readings, or no address: no source, and no failed login.
		{"Failed publickey for invalid user root from 203.0.113.9 port 22 ssh2: x from 198.51.100.7 port 4242 ssh2: RSA-CERT SHA256:a ID i (serial 1) CA RSA SHA256:c", "", "", ""},
		{"Failed publickey for root from 198.51.100.7 port 4242 ssh2: RSA-CERT ID x from 203.0.113.9 port 22 ssh2: RSA SHA256:y (serial 5) CA RSA SHA256:z", "", "", ""},
		{"Failed password for root from attacker.example port 4242 ssh2", "", "", ""},
		{"Failed password for invalid user x from 203.0.113.9 port 22 ssh2 from attacker.example port 4242 ssh2", "", "", ""},
		{"Failed password for invalid user x from 203.0.113.9 port 22 ssh2 from UNKNOWN port 65535 ssh2", "", "", ""},
		{"Invalid user x from 203.0.113.9 from attacker.example", "", "", ""},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=attacker.example  user=rhost=203.0.113.9", "", "", ""},
		{"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9.attacker.example  user=root", "", "", ""},
		{"Received disconnect from 198.51.100.7 port 4242:11: Failed password for root from 203.0.113.9 port 22 ssh2", "", "", ""},
		{"input_userauth_request: invalid user Failed password for root from 203.0.113.9 port 22 ssh2 [preauth]", "", "", ""},
		{"Accepted password for root from 198.51.100.7 port 4242 ssh2", "", "", ""},
		{"refused connect from 203.0.113.9) (x (198.51.100.7)", "", "", ""},
		{"message repeated 0 times: [ Failed password for root from 198.51.100.7 port 4242 ssh2]", "", "", ""},
		// Shaped like an address and none: parsed, but it names nobody.
		{"Failed password for root from 999.51.100.7 port 4242 ssh2", "ssh_failed-auth", "", "root"},
	}
	p := builtin(t)
	for _, program := range []string{"sshd", "sshd-session"} {
		for _, c := range cases {
			ev := line("syslog", "Dec 10 06:55:48 host "+program+"[24200]: "+c.message)
			out := p.Parse(ev)
			if out.Err != nil || out.Parsed != (c.logType != "") {
				t.Errorf("%s: %+v", c.message, out)
			}
			if ev.Meta["log_type"] != c.logType || ev.Meta["source_ip"] != c.source || ev.Meta["target_user"] != c.user {
				t.Errorf("%s:\n\thave %q %q %q", c.message, ev.Meta["log_type"], ev.Meta["source_ip"], ev.Meta["target_user"])
			}
			if ev.Meta["source_ip"] == victim {
				t.Errorf("%s: the victim is named", c.message)
			}
			if out.Parsed && (ev.Meta["service"] != "ssh" || ev.Meta["machine"] != "host") {
				t.Errorf("%s: %v", c.message, ev.Meta)
			}
		}
	}
}

// TestNewline: a line break inside a line, as a careless source may hand it on,
// makes no second line.
func TestNewline(t *testing.T) {
	p := builtin(t)
	for _, raw := range []string{
		"Dec 10 06:55:48 h sshd[1]: Failed password for invalid user x\nDec 10 06:55:48 h sshd[1]: Failed password for root from 203.0.113.9 port 22 ssh2",
		"Dec 10 06:55:48 h sshd[1]: Invalid user x\nFailed password for root from 203.0.113.9 port 22 ssh2 from 198.51.100.7 port 4242",
	} {
		if ev := line("syslog", raw); p.Parse(ev).Parsed || ev.Meta["source_ip"] != "" {
			t.Errorf("%q: %v", raw, ev.Meta)
		}
	}
}

func TestSSHDRepeat(t *testing.T) {
	ev := line("syslog", "Dec 10 06:55:48 h sshd[1]: message repeated 5 times: [ Failed password for root from 198.51.100.7 port 4242 ssh2]")
	if builtin(t).Parse(ev); ev.Parsed["repeat"] != "5" || ev.Parsed["message"] != "Failed password for root from 198.51.100.7 port 4242 ssh2" {
		t.Fatalf("%v", ev.Parsed)
	}
}

// TestOpenSSHLog counts failed logins by source in a real log, against a count
// that knows nothing of parsers.
func TestOpenSSHLog(t *testing.T) {
	f, err := os.Open(testkit.Shared(t, "logs", "openssh_2k.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	failed := regexp.MustCompile(`Failed \w+ for .* from ([0-9.]+) port \d+ ssh2`)
	repeated := regexp.MustCompile(`message repeated (\d+) times`)
	want, got, unparsed := map[string]int{}, map[string]int{}, 0
	p := builtin(t)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m := failed.FindStringSubmatch(lines.Text()); m != nil {
			n := 1
			if r := repeated.FindStringSubmatch(lines.Text()); r != nil {
				n, _ = strconv.Atoi(r[1])
			}
			want[m[1]] += n
		}
		ev := line("syslog", lines.Text())
		if !p.Parse(ev).Parsed {
			unparsed++
		}
		if ev.Meta["log_type"] == "ssh_failed-auth" {
			n := 1
			if r := ev.Parsed["repeat"]; r != "" {
				n, _ = strconv.Atoi(r)
			}
			got[ev.Meta["source_ip"]] += n
			if !strings.HasPrefix(ev.MarshaledTime, "2025-12-10T") {
				t.Errorf("time %q of %s", ev.MarshaledTime, lines.Text())
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
		t.Fatalf("%d sources: %s", len(want), diff)
	}
	t.Logf("%d sources, %d lines that are no failure", len(want), unparsed)
}

func TestSyslog(t *testing.T) {
	cases := []struct {
		raw  string
		want map[string]string // nil: unparsed at s00
		host string
	}{
		{"Dec 10 06:55:48 LabSZ sshd[24200]: hello: world", map[string]string{"timestamp": "Dec 10 06:55:48", "program": "sshd", "pid": "24200", "message": "hello: world"}, "LabSZ"},
		{"<38>Dec  1 06:55:48 h su: x", map[string]string{"timestamp": "Dec  1 06:55:48", "program": "su", "pid": "", "message": "x"}, "h"},
		{"Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass", map[string]string{"timestamp": "Jun 14 15:16:01", "program": "sshd(pam_unix)", "pid": "19939", "message": "check pass"}, "combo"},
		{"2024-04-10T14:30:00.123456+02:00 h postfix/smtpd[7]: x", map[string]string{"timestamp8601": "2024-04-10T14:30:00.123456+02:00", "program": "postfix/smtpd", "pid": "7", "message": "x"}, "h"},
		{"2024-04-10T14:30:00Z h a::b: x", map[string]string{"timestamp8601": "2024-04-10T14:30:00Z", "program": "a::b", "pid": "", "message": "x"}, "h"},
		{"<165>1 2003-10-11T22:14:15.003Z h.example prog 12 ID47 - msg", map[string]string{"timestamp8601": "2003-10-11T22:14:15.003Z", "program": "prog", "pid": "12", "msgid": "ID47", "message": "msg"}, "h.example"},
		{`<165>1 2003-10-11T22:14:15Z h prog - - [a@1 b="x\"] y"][c d="e"] msg`, map[string]string{"timestamp8601": "2003-10-11T22:14:15Z", "program": "prog", "pid": "", "msgid": "-", "message": "msg"}, "h"},
		{"Dec 10 06:55:48 h kernel: [ 1.0] x", map[string]string{"timestamp": "Dec 10 06:55:48", "program": "kernel", "pid": "", "message": "[ 1.0] x"}, "h"},
		{"Dec 10 06:55:48 h last message repeated 2 times", nil, ""},
		{"", nil, ""}, {"junk", nil, ""}, {"\x00\xff\xfe", nil, ""},
	}
	p := load(t, builtinItems(t)[:2])
	for _, c := range cases {
		ev := line("syslog", c.raw)
		out := p.Parse(ev)
		if out.Parsed != (c.want != nil) {
			t.Errorf("%q: %+v", c.raw, out)
		}
		if c.want == nil {
			continue
		}
		c.want["logsource"] = "syslog"
		if diff := cmp.Diff(c.want, ev.Parsed); diff != "" {
			t.Errorf("%q: %s", c.raw, diff)
		}
		if ev.Meta["machine"] != c.host || ev.Meta["datasource_path"] != "/var/log/test.log" || ev.Meta["datasource_type"] != "file" {
			t.Errorf("%q: %v", c.raw, ev.Meta)
		}
		if ev.StrTime != c.want["timestamp"]+c.want["timestamp8601"] {
			t.Errorf("%q: time %q", c.raw, ev.StrTime)
		}
	}
}

// FuzzSSHD: whatever user name a client sends, only its own address is named.
func FuzzSSHD(f *testing.F) {
	for _, s := range []string{"root", "x from 203.0.113.9 port 22 ssh2", "x from 203.0.113.9 port 22 ssh2: RSA SHA256:a", " rhost=203.0.113.9", "x 203.0.113.9 port 22 [preauth]", "'"} {
		f.Add(s)
	}
	p := builtin(f)
	f.Fuzz(func(t *testing.T, user string) {
		if strings.ContainsAny(user, "\n\r") {
			return // sshd writes them as \012
		}
		for _, form := range []string{
			"Failed password for invalid user USER from 198.51.100.7 port 4242 ssh2",
			"Failed publickey for USER from 198.51.100.7 port 4242 ssh2: RSA SHA256:abc",
			"Failed publickey for invalid user USER from 198.51.100.7 port 4242 ssh2: RSA-CERT SHA256:a ID USER (serial 0) CA RSA SHA256:b",
			`Failed hostbased for USER from 198.51.100.7 port 4242 ssh2: RSA SHA256:a, client user "USER", client host "USER"`,
			"Invalid user USER from 198.51.100.7 port 4242", "Invalid user USER from 198.51.100.7",
			"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=USER",
			"error: PAM: Authentication failure for illegal user USER from 198.51.100.7",
			"error: maximum authentication attempts exceeded for invalid user USER from 198.51.100.7 port 4242 ssh2 [preauth]",
			"Connection closed by invalid user USER 198.51.100.7 port 4242 [preauth]",
			"Disconnecting invalid user USER 198.51.100.7 port 4242: Too many authentication failures [preauth]",
			"Bad protocol version identification 'USER' from 198.51.100.7 port 4242",
			"message repeated 3 times: [ Failed password for USER from 198.51.100.7 port 4242 ssh2]",
			"Received disconnect from 198.51.100.7 port 4242:11: USER",
			"input_userauth_request: invalid user USER [preauth]",
			"Unable to negotiate with 198.51.100.7 port 4242: no matching cipher found. Their offer: USER [preauth]",
		} {
			ev := line("syslog", "Dec 10 06:55:48 host sshd[1]: "+strings.ReplaceAll(form, "USER", user))
			p.Parse(ev)
			if ip := ev.Meta["source_ip"]; ip != "" && ip != "198.51.100.7" {
				t.Fatalf("%q names %q", ev.Line.Raw, ip)
			}
		}
	})
}

// FuzzSyslog: no line whatever makes a parse fail with an error.
func FuzzSyslog(f *testing.F) {
	f.Add(sshdLine)
	f.Add(`<165>1 2003-10-11T22:14:15Z h prog - - [a@1 b="x\"] y"] msg`)
	p := builtin(f)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, label := range []string{"syslog", "nginx", "caddy"} {
			if out := p.Parse(line(label, raw)); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
	})
}
