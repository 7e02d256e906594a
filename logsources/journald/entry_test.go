package journald

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestLine(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	const head = `{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1767366245123456",`
	for _, c := range []struct{ name, json, want string }{
		{"plain", head + `"MESSAGE":"hello","SYSLOG_IDENTIFIER":"sshd","SYSLOG_PID":"12","_PID":"13","_COMM":"x","_HOSTNAME":"h"}`,
			"2026-01-02T15:04:05.123456+00:00 h sshd[12]: hello"},
		{"names of the process", head + `"MESSAGE":"hello","_COMM":"sudo","_PID":"13","_HOSTNAME":"h"}`,
			"2026-01-02T15:04:05.123456+00:00 h sudo[13]: hello"},
		{"nothing but a message", `{"__CURSOR":"c","MESSAGE":"hello"}`,
			"2026-03-04T05:06:07.000008+00:00 localhost unknown: hello"},
		{"bytes", head + `"MESSAGE":[104,105,255,10,33],"SYSLOG_IDENTIFIER":"a","_HOSTNAME":"h"}`,
			"2026-01-02T15:04:05.123456+00:00 h a: hi\xff !"},
		{"several values", head + `"MESSAGE":["one","two"],"SYSLOG_IDENTIFIER":[[120,121],"z"],"_HOSTNAME":"h"}`,
			"2026-01-02T15:04:05.123456+00:00 h xy: one"},
		{"newlines forge nothing", head + `"MESSAGE":"a\nJan  2 15:04:05 h sshd[1]: Failed password\r\n\u0000\u0085b\tc","SYSLOG_IDENTIFIER":"a","_HOSTNAME":"h"}`,
			"2026-01-02T15:04:05.123456+00:00 h a: a Jan  2 15:04:05 h sshd[1]: Failed password     b\tc"},
		{"identifier forges nothing", head + `"MESSAGE":"m","SYSLOG_IDENTIFIER":"x sshd[1]: Failed\n","_PID":"1 ]: y","_HOSTNAME":"h h"}`,
			"2026-01-02T15:04:05.123456+00:00 h_h x_sshd_1___Failed_: m"},
		{"no message", head + `"MESSAGE":null,"SYSLOG_IDENTIFIER":"a"}`, ""},
		{"blank message", head + `"MESSAGE":" \n "}`, ""},
		{"empty list", head + `"MESSAGE":[]}`, ""},
	} {
		e, err := decode([]byte(c.json))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := e.line(now); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
	for _, bad := range []string{`{}`, `[]`, `{"__CURSOR":"c","MESSAGE":5}`, `{"__CURSOR":"c","MESSAGE":[300]}`, `{"__CURSOR":"c","MESSAGE":[{}]}`, `{"__CURSOR":`} {
		if _, err := decode([]byte(bad)); err == nil {
			t.Errorf("%s is taken for an entry", bad)
		}
	}
}

// FuzzLine wants one line, whatever the journal says.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"__CURSOR":"c","MESSAGE":"a\nb"}`))
	f.Add([]byte(`{"__CURSOR":"c","MESSAGE":[1,2,255],"_HOSTNAME":[["x"]],"_PID":"1"}`))
	f.Add([]byte(`{"__CURSOR":"c","MESSAGE":"x","SYSLOG_IDENTIFIER":"a: b[1]"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err != nil {
			return
		}
		line := e.line(time.Unix(0, 0))
		if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }); i >= 0 {
			t.Fatalf("control character at %d of %q", i, line)
		}
		if line == "" {
			return
		}
		parts := strings.SplitN(line, " ", 4)
		if len(parts) != 4 || !strings.HasSuffix(parts[2], ":") || strings.Contains(parts[2][:len(parts[2])-1], ":") {
			t.Fatalf("no syslog header: %q", line)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	text := []byte(`{"__CURSOR":"s=0639466097fe4c2a9b5a8dd5d1bb0a9c;i=1f5;b=5a;m=2c;t=64a;x=1","__REALTIME_TIMESTAMP":"1767366245123456","__MONOTONIC_TIMESTAMP":"46000000","_BOOT_ID":"5a0c5f4a","MESSAGE":"Failed password for invalid user admin from 203.0.113.9 port 4242 ssh2","SYSLOG_IDENTIFIER":"sshd","SYSLOG_PID":"4711","_COMM":"sshd","_PID":"4711","_HOSTNAME":"web1"}`)
	if !json.Valid(text) {
		b.Fatal("bad entry")
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := decode(text)
		if err != nil || e.line(time.Time{}) == "" {
			b.Fatal(err)
		}
	}
}
