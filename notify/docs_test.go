package notify

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocs: every example of the documentation works, and what is to be JSON is.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SLACK_WEBHOOK", "TEAMS_WEBHOOK"} {
		t.Setenv(name, "https://hooks.example.com/x")
	}
	for _, name := range []string{"SMTP_PASSWORD", "ELASTIC_KEY", "GOTIFY_TOKEN", "TELEGRAM_TOKEN", "TELEGRAM_CHAT"} {
		t.Setenv(name, "chosen")
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(doc), -1) {
		blocks = append(blocks, m[1])
	}
	rs := read(t, strings.Join(blocks, "---\n"))
	if len(rs.byName) != len(blocks) || len(blocks) < 7 {
		t.Fatalf("%d receivers of %d examples", len(rs.byName), len(blocks))
	}
	hostile := newAlert(attack())
	hostile.Scenario, hostile.Source.AsName, hostile.Message = `a"b\<i>&`, "x\"\n</b>", "\x00\"'"
	var tl tally
	tl.add(hostile, time.Now(), false)
	d := tl.digest("x")
	for name, r := range rs.byName {
		alerts := []*Alert{sample(time.Now()), hostile}
		if name == "gotify" {
			alerts = alerts[1:] // it has no groups, so one alert to a message
		}
		for what, m := range map[string]*message{"alerts": {alerts: alerts}, "digest": {digest: d}} {
			text, err := r.text(m)
			if err != nil || len(text) < 40 || strings.Contains(text, "0xc0") || strings.Contains(text, "<no value>") {
				t.Errorf("%s of %s: %q, %v", what, name, text, err)
			}
			if what == "digest" && !r.rule.digests {
				continue // it is never sent one
			}
			if h, ok := r.channel.(*httpSpec); ok {
				checkJSON(t, name+" "+what, text, strings.Contains(h.Headers["Content-Type"], "ndjson"))
			}
			if name == "mail" && strings.Contains(text, "<i>") {
				t.Errorf("%s of %s has an attacker's HTML: %s", what, name, text)
			}
		}
	}
}

func checkJSON(t *testing.T, what, text string, lines bool) {
	t.Helper()
	parts := []string{text}
	if lines {
		parts = strings.Split(strings.TrimRight(text, "\n"), "\n")
		if len(parts)%2 != 0 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: %d lines", what, len(parts))
		}
	}
	for _, p := range parts {
		if !json.Valid([]byte(p)) {
			t.Errorf("%s is no JSON: %s", what, p)
		}
	}
}
