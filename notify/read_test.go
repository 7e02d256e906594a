package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a directory of files.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read wants no problem.
func read(t testing.TB, text string) *Receivers {
	t.Helper()
	rs, err := Read(write(t, map[string]string{"r.yaml": text}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rs.Problems() {
		t.Fatal(p)
	}
	return rs
}

func TestReadDirectory(t *testing.T) {
	t.Setenv("RAMPART_TEST_PORT", "2525")
	t.Setenv("RAMPART_TEST_PASSWORD", "null")
	t.Setenv("RAMPART_TEST_INJECT", "x\nsmtp_host: evil.example")
	dir := write(t, map[string]string{
		"a.yaml": "# nothing but a comment\n---\ntype: http\nname: one\nurl: http://127.0.0.1:1/\n---\ntype: file\nname: two\nlog_path: /nowhere/a.log\n",
		"b.yml": `type: email
name: three
smtp_host: mail.example
smtp_port: ${RAMPART_TEST_PORT}
smtp_password: ${RAMPART_TEST_PASSWORD}
email_subject: ${RAMPART_TEST_INJECT}
receiver_emails: [a@example.com, "b@example.com"]
connect_timeout: 3s
format: '{{range .}}{{$a := .}}${UNSET} {{$a.Scenario}}{{end}}'
`,
		"c.txt": "type: nonsense", "d.yaml~": ": :",
	})
	if err := os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	rs, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rs.Problems() {
		t.Error(p)
	}
	if diff := cmp.Diff([]string{"one", "three", "two"}, rs.Names()); diff != "" {
		t.Error(diff)
	}
	mail := rs.byName["three"].channel.(*emailSpec)
	got := []any{mail.SMTPPort, mail.SMTPPassword, mail.EmailSubject, mail.SMTPHost, mail.EncryptionType, rs.byName["three"].timeout}
	want := []any{2525, "null", "x\nsmtp_host: evil.example", "mail.example", "ssltls", 13 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := rs.byName["three"].text(&message{alerts: []*Alert{sample(time.Now())}})
	if err != nil || text != "${UNSET} rampart/test" {
		t.Errorf("text %q, %v", text, err)
	}
}

func TestReadNoDirectory(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

// TestReadProblems: each concerns its own receiver, and the one after it works.
func TestReadProblems(t *testing.T) {
	const http = "type: http\nname: x\nurl: http://h/\n"
	for _, c := range []struct{ name, yaml, want string }{
		{"unknown key", http + "metod: POST", `r.yaml:4: receiver "x": line 4: unknown key "metod"; expected some of ca_cert_path`},
		{"key of another type", http + "webhook: http://h/", `r.yaml:4: receiver "x": line 4: unknown key "webhook"`},
		{"unknown key inside", "type: file\nname: x\nlog_path: /a\nrotate:\n  enabled: true\n  size: 3", `r.yaml:6: receiver "x": line 6: unknown key "size"; expected some of compress`},
		{"a key twice", http + "url: http://i/", `r.yaml:4: `},
		{"unknown type", "type: pigeon\nname: x", `r.yaml:1: receiver "x": type "pigeon" is not known`},
		{"no type", "name: x", `r.yaml:1: receiver "x": it has no type`},
		{"no name", "type: http\nurl: http://h/", `r.yaml:1: it has no name`},
		{"a list", "- a", `r.yaml:1: expected the keys of a receiver`},
		{"a word", "a", `r.yaml:1: expected the keys of a receiver`},
		{"unset variable", http + "headers:\n  Authorization: Bearer ${RAMPART_TEST_UNSET}", `r.yaml:5: line 5: Authorization: the environment has no variable RAMPART_TEST_UNSET`},
		{"no duration", http + "group_wait: 30", `r.yaml:4: receiver "x": line 4: "30" is no duration`},
		{"negative duration", http + "timeout: -1s", `line 4: "-1s" is no duration`},
		{"long timeout", http + "timeout: 1h", `timeout: 1h0m0s, expected at most 5m0s`},
		{"threshold", http + "group_threshold: 1001", `group_threshold: 1001, expected 0 to 1000`},
		{"retries", http + "max_retry: -1", `max_retry: -1, expected 0 to 100`},
		{"text for a number", http + "max_retry: many", `r.yaml:4: receiver "x": `},
		{"group_by", http + "group_wait: 1s\ngroup_by: [scenario, moon]", `group_by: "moon", expected some of as, country`},
		{"group_by alone", http + "group_by: scenario", `group_by has no effect without`},
		{"rate", http + "rate: 5", `r.yaml:4: receiver "x": line 4: rate "5": expected messages per time such as 10/1m`},
		{"rate of nothing", http + "rate: 0/1m", `rate "0/1m"`},
		{"fast rate", http + "rate: 1/1ms", `rate "1/1ms"`},
		{"rate without digest", http + "rate: 5/m\nformat: x", `so a ` + "`digest`" + ` template must say`},
		{"log level", http + "log_level: loud", `log_level: "loud"`},
		{"format", http + "format: '{{.Foo'", `receiver "x": format: template: format:1:`},
		{"CTI", http + "format: '{{range .}}{{.Source.IP | CrowdsecCTI}}{{end}}'", `the function CrowdsecCTI is not available: it asks a service on the Internet`},
		{"env", http + "format: '{{env \"HOME\"}}'", `the function env is not available: templates see nothing`},
		{"digest", http + "digest: '{{end}}'", `digest: template: digest:1:`},
		{"no url", "type: http\nname: x", `url: expected one such as`},
		{"scheme", "type: http\nname: x\nurl: ftp://token@h/", `url: expected one such as`},
		{"method", http + "method: 'GO GET'", `method: "GO GET" is none`},
		{"header", http + "headers: {A: \"b\\r\\nC: d\"}", `headers: "A": name or value cannot be sent`},
		{"half a pair", http + "cert_path: /a", `belong together`},
		{"no certificate", http + "ca_cert_path: /nowhere", `ca_cert_path: open /nowhere`},
		{"slack", "type: slack\nname: x", `webhook: expected`},
		{"splunk", "type: splunk\nname: x\nurl: http://h/", `token: expected`},
		{"sentinel", "type: sentinel\nname: x\ncustomer_id: a.b\nlog_type: l\nshared_key: YQ==", `customer_id: expected`},
		{"sentinel key", "type: sentinel\nname: x\ncustomer_id: a\nlog_type: l\nshared_key: '*'", `shared_key: expected base64`},
		{"relative file", "type: file\nname: x\nlog_path: a.log", `log_path: "a.log", expected an absolute path`},
		{"mail host", "type: email\nname: x\nreceiver_emails: [a@b]", `smtp_host: expected`},
		{"mail port", "type: email\nname: x\nsmtp_host: h\nsmtp_port: 70000\nreceiver_emails: [a@b]", `smtp_port: 70000`},
		{"nobody to write to", "type: email\nname: x\nsmtp_host: h", `receiver_emails: expected at least one`},
		{"mail address", "type: email\nname: x\nsmtp_host: h\nreceiver_emails: [nobody]", `"nobody" is no mail address`},
		{"auth", "type: email\nname: x\nsmtp_host: h\nauth_type: magic\nreceiver_emails: [a@b]", `auth_type: "magic"`},
		{"encryption", "type: email\nname: x\nsmtp_host: h\nencryption_type: rot13\nreceiver_emails: [a@b]", `encryption_type: "rot13"`},
		{"duplicate", http + "---\n" + http, `r.yaml:5: receiver "x": the name is taken by `},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs, err := Read(write(t, map[string]string{"r.yaml": c.yaml + "\n---\ntype: http\nname: after\nurl: http://h/\n"}))
			if err != nil {
				t.Fatal(err)
			}
			if len(rs.Problems()) != 1 || !strings.Contains(rs.Problems()[0].Error(), c.want) {
				t.Errorf("problems %q\nwant one with %q", rs.Problems(), c.want)
			}
			if rs.byName["after"] == nil {
				t.Error("the receiver after it is missing")
			}
			for _, p := range rs.Problems() {
				if strings.Contains(p.Error(), "token@") {
					t.Errorf("%s tells a secret", p)
				}
			}
		})
	}
}

func TestReadBrokenYAML(t *testing.T) {
	rs, err := Read(write(t, map[string]string{
		"a.yaml": "type: http\nname: before\nurl: http://h/\n---\ntype: http\n  name: [\n",
		"b.yaml": "type: http\nname: other\nurl: http://h/\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"before", "other"}, rs.Names()); diff != "" || len(rs.Problems()) != 1 {
		t.Errorf("%s problems %v", diff, rs.Problems())
	}
}

func TestReadBounds(t *testing.T) {
	var many strings.Builder
	for i := range maxReceivers + 2 {
		fmt.Fprintf(&many, "type: http\nname: r%d\nurl: http://h/\n---\n", i)
	}
	rs, err := Read(write(t, map[string]string{"a.yaml": many.String(), "b.yaml": strings.Repeat("#", maxFile+1)}))
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.Names()) != maxReceivers || len(rs.Problems()) != 3 {
		t.Errorf("%d receivers, problems %v", len(rs.Names()), rs.Problems())
	}
}

// TestReadTwice: the same files make receivers that are known as the same, and any
// change another, a certificate's content too.
func TestReadTwice(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := "type: splunk\nname: s\nurl: https://h/\ntoken: t\nca_cert_path: " + ca + "\n---\ntype: email\nname: e\nsmtp_host: h\nreceiver_emails: [a@b]\n" +
		"---\ntype: http\nname: h\nurl: https://h/\nca_cert_path: " + ca + "\nheaders: {a: b, c: d}\nrate: 5/h\n---\ntype: slack\nname: k\nwebhook: http://h/\n---\ntype: file\nname: f\nlog_path: /a\n"
	prints := func(cert, text string) map[string]any {
		if err := os.WriteFile(ca, []byte(cert), 0o600); err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		for name, r := range read(t, text).byName {
			out[name] = r.print
		}
		return out
	}
	one, other := string(certificate(t, "one").PEM), string(certificate(t, "other").PEM)
	first := prints(one, text)
	if diff := cmp.Diff(first, prints(one, text)); diff != "" {
		t.Error(diff)
	}
	renewed := prints(other, text)
	changed := prints(one, strings.ReplaceAll(text, "name: ", "log_level: info\nname: "))
	for name := range first {
		if first[name] == changed[name] {
			t.Errorf("%s does not show a change", name)
		}
		if (name == "h" || name == "s") == (first[name] == renewed[name]) {
			t.Errorf("%s: a renewed certificate", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("type: http\nname: x\nurl: http://h/\nheaders: {a: b}\nformat: '{{.|toJson}}'\n---\ntype: file\nname: ${HOME}\nlog_path: /a\nrotate: {enabled: true}")
	f.Add("type: email\nname: e\nsmtp_host: h\nreceiver_emails: [a@b]\ngroup_by: [as]\ngroup_wait: 1s\nrate: 1/m")
	f.Add("a: &a [*a]\n---\n{type: {}, name: []}\n---\n? [x]\n: y\n---\n!!binary x\n---\n*x")
	f.Add("type: slack\nname: \"\\0\"\nwebhook: '://'\nformat: '{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}'")
	f.Fuzz(func(t *testing.T, text string) {
		r := newReader(func(string) (string, bool) { return "", false })
		r.file("r.yaml", []byte(text))
		for _, p := range r.out.Problems() {
			if p.Error() == "" || p.Path != "r.yaml" {
				t.Errorf("problem %#v", p)
			}
		}
		for name, rec := range r.out.byName {
			if name == "" || rec.sender == nil || rec.format == nil || rec.timeout <= 0 || rec.timeout > maxTimeout+2*mailTimeout {
				t.Errorf("receiver %q: %+v", name, rec)
			}
		}
	})
}
