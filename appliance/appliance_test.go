package appliance

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
)

// open starts an appliance in a directory of its own.
func open(t testing.TB, c Config) *Appliance {
	t.Helper()
	if c.DataDir == "" {
		c.DataDir = t.TempDir()
	}
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Node: "test"})
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		release()
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func from(addr string) Arrival {
	a := netip.MustParseAddr(addr)
	return Arrival{Client: a, Peer: a}
}

func request(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://example.com"+target, nil)
	r.RequestURI = target
	r.Header.Set("User-Agent", "Mozilla/5.0")
	return r
}

// visit takes one request through and returns what was done with it.
func visit(a *Appliance, in Arrival, target string, status int) *Visit {
	v := a.Begin(request(target), in)
	if v.Action == Pass {
		v.End(status, 0, http.Header{})
	}
	return v
}

func TestTheOverflowingRequestIsRefused(t *testing.T) {
	a := open(t, Config{})
	paths := []string{"/.env", "/.git/config", "/backup.sql", "/id_rsa"}
	for i, p := range paths {
		v := visit(a, from("203.0.113.7"), p, 404)
		want := Pass
		if i == len(paths)-1 {
			want = Respond
		}
		if v.Action != want {
			t.Errorf("request %d for %s: %s, want %s", i+1, p, v.Action, want)
		}
		if want == Respond && len(v.Incident) != 26 {
			t.Errorf("incident %q has not 26 characters", v.Incident)
		}
	}
}

func TestDetectNeverRefuses(t *testing.T) {
	a := open(t, Config{})
	in := from("203.0.113.7")
	in.Detect = true
	for i := range 50 {
		if v := visit(a, in, fmt.Sprintf("/.env.%d", i), 404); v.Action != Pass {
			t.Fatalf("request %d: %s", i+1, v.Action)
		}
	}
	list := a.live.Load().state.book.Alerts(decisions.AlertFilter{})
	if len(list) == 0 {
		t.Fatal("there is no alert")
	}
	for _, al := range list {
		if !al.Simulated {
			t.Errorf("alert %d of %s is not simulated", al.ID, al.Scenario)
		}
	}
}

// TestNobodyOfOurs: what must never be banned is not, whatever it does.
func TestNobodyOfOurs(t *testing.T) {
	a := open(t, Config{Allow: []string{"198.51.100.0/24"},
		Trusted: func(x netip.Addr) bool { return x == netip.MustParseAddr("192.0.2.1") }})
	proxied := from("192.0.2.9")
	proxied.Peer, proxied.Trusted = netip.MustParseAddr("192.0.2.8"), true
	visit(a, proxied, "/", 200)
	for _, addr := range []string{"127.0.0.1", "::1", "198.51.100.3", "192.0.2.1", "192.0.2.8"} {
		for i := range 20 {
			if v := visit(a, from(addr), fmt.Sprintf("/.env.%d", i), 404); v.Action != Pass {
				t.Fatalf("%s: request %d: %s", addr, i+1, v.Action)
			}
		}
		if v := a.Decide(netip.MustParseAddr(addr)); v.Action != decisions.None {
			t.Errorf("%s: %v", addr, v)
		}
	}
}

// TestEndsAreHeard: what only a response shows is detected too, off the path.
func TestEndsAreHeard(t *testing.T) {
	a := open(t, Config{})
	for i := range 40 {
		visit(a, from("203.0.113.7"), fmt.Sprintf("/missing/%d", i), 404)
	}
	until(t, "the scanner is challenged", func() bool {
		return a.Decide(netip.MustParseAddr("203.0.113.7")).Action == decisions.Captcha
	})
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("waited in vain until ", what)
}

const ownScenario = `type: leaky
filter: evt.Meta.log_type == 'http_access-log' && evt.Meta.http_path == '/x'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 1h
blackhole: 5m
labels: {type: own}
`

// TestWithdrawnSettings: a configuration that is withdrawn leaves the one before in
// force, with its buckets.
func TestWithdrawnSettings(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "own.yaml")
	if err := os.WriteFile(file, []byte(ownScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, Config{DataDir: dir, Scenarios: []string{file}})
	for range 5 {
		visit(a, from("203.0.113.7"), "/x", 200)
	}
	other, err := Compile(Config{DataDir: dir, Contact: "other"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	release, err := a.Use(other)
	if err != nil {
		t.Fatal(err)
	}
	if a.Contact() != "other" {
		t.Error("the newest settings do not rule")
	}
	release()
	release()
	if a.Contact() != "" {
		t.Error("withdrawn settings still rule")
	}
	if v := visit(a, from("203.0.113.7"), "/x", 200); v.Action != Refuse {
		t.Errorf("the sixth request: %s: its bucket was lost", v.Action)
	}
}

// TestRestart: a clean stop keeps half-full buckets, a crash loses them and says so.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "own.yaml")
	if err := os.WriteFile(file, []byte(ownScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{DataDir: dir, Scenarios: []string{file}}
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	first := New(Options{})
	if _, err := first.Use(s); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		visit(first, from("203.0.113.7"), "/x", 200)
	}
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v := visit(first, from("203.0.113.7"), "/x", 200); v.Action != Pass {
		t.Errorf("a closed node does not let requests pass: %s", v.Action)
	}
	second := open(t, c)
	st := second.live.Load().state
	if !st.last.Clean || st.last.Restored == 0 {
		t.Errorf("last stop: %+v", st.last)
	}
	if v := visit(second, from("203.0.113.7"), "/x", 200); v.Action != Refuse {
		t.Errorf("the sixth request after a restart: %s", v.Action)
	}
}

func TestCompileNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("type: leaky\nfilter: evt.Meta.x =\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		c    Config
		want []string
	}{
		"firewall":    {Config{Firewall: FirewallConfig{Mode: "on"}}, []string{`"on"`, "nftables"}},
		"allow":       {Config{Allow: []string{"10.0.0"}}, []string{`"10.0.0"`, "192.0.2.0/24"}},
		"collection":  {Config{Collections: []string{"rampart/ssh"}}, []string{"collection rampart/ssh:", "did you mean rampart/sshd"}},
		"scenario":    {Config{Scenarios: []string{bad}}, []string{"bad.yaml:2"}},
		"missing":     {Config{Scenarios: []string{filepath.Join(dir, "none")}}, []string{"none"}},
		"source":      {Config{Sources: []SourceConfig{{Type: "tail"}}}, []string{`"tail"`, "journald"}},
		"no path":     {Config{Sources: []SourceConfig{{Type: "file"}}}, []string{"no path"}},
		"digits":      {Config{Captcha: CaptchaConfig{Digits: 3}}, []string{"between 4 and 8"}},
		"two at once": {Config{Allow: []string{"x"}, IPv6Prefix: 56}, []string{`"x"`, "56"}},
	} {
		_, err := Compile(tt.c, nil)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %s", name, err, w)
			}
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "2d": 48 * time.Hour,
		"1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "-1s": -time.Second} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "1x", "1.5d", "99999d", "1d2", "-1d", "1d-5h", "36500d2562047h", "1d+1h1"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
