package appliance

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/event"
)

// TestAdminSupport: nothing of what must stay here is in a dump: planted secrets, logins,
// and visitors unless they are asked for.
func TestAdminSupport(t *testing.T) {
	n := openExchangeNode(t)
	r := ask[Registration](t, n.Appliance, "POST", "/rampart/capi/register", map[string]string{})
	cred, err := community.ReadCredentials(r.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	key, err := n.live.Load().state.api.registry.AddBouncer("edge", "")
	if err == nil {
		err = n.live.Load().state.api.registry.AddMachine("agent", "PLANTED-machine", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	hash := n.live.Load().state.api.registry.Bouncers()[0].KeyHash
	scan(t, n.Appliance, "192.0.2.7")
	until(t, "the alert", func() bool { return len(ask[[]event.Alert](t, n.Appliance, "GET", "/rampart/alerts", nil)) > 0 })
	secrets := []string{"PLANTED", cred.Password, cred.Login, key, hash, "$2a$"}
	plain := ask[Support](t, n.Appliance, "GET", "/rampart/support", nil)
	names := map[string]string{}
	for _, f := range plain.Files {
		names[f.Name] = f.Text
		for _, secret := range append(secrets, "192.0.2.7") {
			if strings.Contains(f.Text, secret) {
				t.Errorf("%s has %q", f.Name, secret)
			}
		}
		if strings.HasSuffix(f.Name, ".json") && !json.Valid([]byte(f.Text)) {
			t.Errorf("%s is no JSON: %s", f.Name, f.Text)
		}
	}
	for name, want := range map[string]string{"status.json": `"node": "default"`, "metrics.json": `"lapi"`, "config.json": redacted, "build.json": `"go": "go1`,
		"goroutines.txt": "goroutine profile", "items.json": `"sha256"`, "profiles.json": "addresses", "simulation.json": "own/soft",
		"lists.json": `"feed"`, "bouncers.json": `"edge"`, "machines.json": `"agent"`} {
		if !strings.Contains(names[name], want) {
			t.Errorf("%s lacks %q: %.300s", name, want, names[name])
		}
	}
	full := ask[Support](t, n.Appliance, "GET", "/rampart/support?alerts=true", nil)
	last := full.Files[len(full.Files)-1]
	if len(full.Files) != len(plain.Files)+1 || !strings.Contains(last.Text, "192.0.2.7") {
		t.Errorf("with alerts: %d files, the last %s", len(full.Files), last.Name)
	}
	for _, secret := range secrets {
		if strings.Contains(last.Text, secret) {
			t.Errorf("%s has %q", last.Name, secret)
		}
	}
}

// TestRedaction: every field of the configuration whose name says that it is a secret is
// one, and so are secrets that errors of others quote.
func TestRedaction(t *testing.T) {
	c := Config{Storage: StorageConfig{Kind: "redis", Address: "redis://user:PLANTED-1@redis.internal:6379/0?x=PLANTED-2", Password: "PLANTED-3", SentinelPassword: "PLANTED-4"},
		API:   &APIConfig{AutoRegistration: &AutoRegistration{Token: `PLANTED-5"\quoted`, Ranges: []string{"192.0.2.0/24"}}},
		Lists: []FeedConfig{{Name: "f", URL: "https://PLANTED-6@example.com/PLANTED-7"}}, Contact: "mail@example.com"}
	clean := newRedaction(&c)
	data, err := json.Marshal(redactedConfig(&c))
	if err != nil {
		t.Fatal(err)
	}
	text := clean.text(string(data) + "\nGet \"https://example.com/a/PLANTED-8\": dial PLANTED-3; `PLANTED-9` is no number; {\"x\": \"PLANTED-5\\\"\\\\quoted\"} PLANTED-5\"\\quoted")
	if i := strings.Index(text, "PLANTED"); i >= 0 {
		t.Errorf("…%s", text[i:])
	}
	for _, want := range []string{"https://example.com/", "redis://redis.internal:6379/", "mail@example.com", "192.0.2.0/24", `"name":"f"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is gone from %s", want, text)
		}
	}
	if got := clean.text("http://127.0.0.1:8080/ unix//run/x.sock file:///etc/x"); got != "http://127.0.0.1:8080/ unix//run/x.sock file:///etc/x" {
		t.Errorf("what is no secret became %s", got)
	}
	// A field that is added later with such a name is found, or this test says so.
	for _, typ := range []reflect.Type{reflect.TypeOf(StorageConfig{}), reflect.TypeOf(AutoRegistration{})} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if low := strings.ToLower(typ.Field(i).Name); (strings.Contains(low, "pass") || strings.Contains(low, "token") || strings.Contains(low, "secret")) && !secretKey(name) {
				t.Errorf("%s.%s is no secret", typ.Name(), typ.Field(i).Name)
			}
		}
	}
}
