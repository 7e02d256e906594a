package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// served is the configuration of a node that serves the API at a port of its choice.
func served(more Config) Config {
	if more.API == nil {
		more.API = &APIConfig{Listen: "127.0.0.1:0"}
	}
	return more
}

func apiOf(a *Appliance) *api { return a.live.Load().state.api }

// address is where the node itself serves the API.
func address(t testing.TB, a *Appliance) string {
	t.Helper()
	list := apiOf(a).status().Addresses
	if len(list) != 1 {
		t.Fatalf("served at %q, want one address", list)
	}
	return list[0]
}

// callAPI makes one call of the API and returns status and body.
func callAPI(t testing.TB, c *http.Client, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "crowdsec/test")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// fresh is a client that keeps no connection.
func fresh() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
}

// agent registers an agent with the node and returns what its calls carry.
func agent(t testing.TB, a *Appliance, name string) (bearer string) {
	t.Helper()
	if err := apiOf(a).registry.AddMachine(name, "password-of-"+name, true); err != nil {
		t.Fatal(err)
	}
	return login(t, "http://"+address(t, a), name)
}

func login(t testing.TB, base, name string) (bearer string) {
	t.Helper()
	status, text := callAPI(t, fresh(), "POST", base+"/v1/watchers/login",
		fmt.Sprintf(`{"machine_id":%q,"password":%q,"scenarios":["x/ssh-bf"]}`, name, "password-of-"+name))
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(text), &answer); status != 200 || err != nil || answer.Token == "" {
		t.Fatalf("login: %d %s", status, text)
	}
	return "Bearer " + answer.Token
}

// alertOf is an alert about an address as an agent sends it.
func alertOf(addr string) string {
	now := time.Now().UTC().Format(time.RFC3339)
	return fmt.Sprintf(`[{"scenario":"x/ssh-bf","scenario_hash":"","scenario_version":"","message":"m","events_count":6,
		"start_at":%q,"stop_at":%q,"capacity":5,"leakspeed":"10s","simulated":false,
		"remediation":true,"events":[],"source":{"scope":"Ip","value":%q,"ip":%q}}]`, now, now, addr, addr)
}

// bouncer adds one and returns its key.
func bouncer(t testing.TB, a *Appliance, name string) string {
	t.Helper()
	key, err := apiOf(a).registry.AddBouncer(name, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func lookUp(t testing.TB, base, key string) int {
	t.Helper()
	status, _ := callAPI(t, fresh(), "GET", base+"/v1/decisions?ip=192.0.2.1", "", "X-Api-Key", key)
	return status
}

// TestAPIUnderASite: it is there as configured, and has no privileges, whatever the
// address.
func TestAPIUnderASite(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir})
	site := httptest.NewServer(a.LocalAPI(func(*http.Request) netip.Addr { return netip.MustParseAddr("127.0.0.1") }))
	defer site.Close()
	key := bouncer(t, a, "fw")
	if status := lookUp(t, site.URL, key); status != 404 {
		t.Errorf("without api: %d", status)
	}
	use(t, a, compiled(t, served(Config{DataDir: dir})))
	if status := lookUp(t, site.URL, key); status != 200 {
		t.Errorf("with api: %d", status)
	}
	token := agent(t, a, "web-1")
	own := "http://" + address(t, a)
	for _, c := range []struct {
		what, base string
		headers    []string
		want       int
	}{
		{"at a site", site.URL, nil, 403},
		{"with a proxy's header", own, []string{"X-Forwarded-For", "127.0.0.1"}, 403},
		{"from loopback", own, nil, 200},
	} {
		status, text := callAPI(t, fresh(), "DELETE", c.base+"/v1/alerts?scenario=x", "", append(c.headers, "Authorization", token)...)
		if status != c.want {
			t.Errorf("deleting alerts %s: %d %s, want %d", c.what, status, text, c.want)
		}
	}
	status, text := callAPI(t, fresh(), "POST", site.URL+"/v1/watchers", `{"machine_id":"new-agent","password":"some-password"}`)
	if status != 403 {
		t.Errorf("registering at a site without a token: %d %s", status, text)
	}
	use(t, a, compiled(t, Config{DataDir: dir, API: &APIConfig{Listen: "127.0.0.1:0", LocalRegistration: true}}))
	if status, text := callAPI(t, fresh(), "POST", site.URL+"/v1/watchers", `{"machine_id":"newer-agent","password":"some-password"}`); status != 403 {
		t.Errorf("registering at a site where only loopback may: %d %s", status, text)
	}
}

// inbox is a receiver of notifications.
type inbox struct {
	*httptest.Server
	mu   sync.Mutex
	said []string
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.said = append(b.said, strings.TrimSpace(string(text)))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

const tellingProfile = `name: tell
filters: ["Alert.Remediation == true"]
decisions: [{type: ban, duration: 4h}]
notifications: [chat, nobody]
`

// TestAlertsFromAnywhere: those of our own engine and those that agents send go
// through the profiles, ban at once, and reach who is notified; so do imports and ranges.
func TestAlertsFromAnywhere(t *testing.T) {
	b, f := newInbox(t), folder{t, t.TempDir()}
	dir := f.dir + "/notifications"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.write("notifications/chat.yaml", "type: http\nname: chat\nurl: "+b.URL+"\nmethod: POST\nformat: |\n  {{range .}}{{.Scenario}} {{.Source.Value}} {{end}}\n")
	f.write("notifications/bad.yaml", "type: pigeon\nname: bad\n")
	profiles := f.write("profiles.yaml", tellingProfile)
	a := open(t, served(Config{DataDir: f.dir, Notifications: dir, Profiles: profiles, Aggregate: &AggregateConfig{Count: 3}}))
	token := agent(t, a, "web-1")
	status, text := callAPI(t, fresh(), "POST", "http://"+address(t, a)+"/v1/alerts", alertOf("192.0.2.7"), "Authorization", token)
	if status != 201 {
		t.Fatalf("pushing an alert: %d %s", status, text)
	}
	if v := visit(a, from("192.0.2.7"), "/", 200); v.Action != Refuse {
		t.Errorf("a request of the one that an agent reported: %s", v.Action)
	}
	for _, p := range []string{"/.env", "/.git/config", "/backup.sql", "/id_rsa"} {
		visit(a, from("203.0.113.7"), p, 404)
	}
	rows := []ImportRow{{Value: "198.51.100.1"}, {Value: "198.51.100.2"}, {Value: "198.51.100.3"}, {Value: "x"}}
	ask[ImportAnswer](t, a, "POST", "/rampart/decisions/import", ImportRequest{From: "old.csv", Rows: rows})
	until(t, "all are told of", func() bool {
		return b.has("x/ssh-bf 192.0.2.7") && b.has("203.0.113.7") && b.has("import old.csv: 3 decisions") && b.has("rampart/aggregate 198.51.100.0/24")
	})
	s := a.live.Load().status()
	if len(s.Notifications.Faults) != 1 || strings.Join(s.Notifications.Unknown, " ") != "nobody" {
		t.Errorf("status: %+v", s.Notifications)
	}
	problems := strings.Join(s.Problems, "\n")
	for _, want := range []string{"bad.yaml", "nobody"} {
		if !strings.Contains(problems, want) {
			t.Errorf("problems do not name %s: %q", want, s.Problems)
		}
	}
	got := gather(t, a)
	for name, want := range map[string]float64{"cs_alerts{x/ssh-bf }": 1, "cs_active_decisions{ban crowdsec x/ssh-bf }": 1,
		"cs_lapi_machine_requests_total{web-1 POST /v1/alerts }": 1, "rampart_api_up{}": 1} {
		if n := metric(got, name); n != want {
			t.Errorf("%s is %v, want %v", name, n, want)
		}
	}
}

// metric is the value of a metric whose labels are given in any order.
func metric(all map[string]float64, name string) float64 {
	want, labels, _ := strings.Cut(name, "{")
	for k, v := range all {
		if family, rest, _ := strings.Cut(k, "{"); family == want && sameWords(rest, labels) {
			return v
		}
	}
	return -1
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(strings.TrimSuffix(a, "}")), strings.Fields(strings.TrimSuffix(b, "}"))
	count := map[string]int{}
	for _, w := range x {
		count[w]++
	}
	for _, w := range y {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestAgentsCannotBanOurOwn: what is never banned is kept suppressed.
func TestAgentsCannotBanOurOwn(t *testing.T) {
	proxy := netip.MustParseAddr("198.51.100.1")
	a := open(t, served(Config{Allow: []string{"192.0.2.0/24"}, Trusted: func(p netip.Addr) bool { return p == proxy }}))
	token := agent(t, a, "web-1")
	for _, addr := range []string{"192.0.2.7", proxy.String(), "127.0.0.1"} {
		status, text := callAPI(t, fresh(), "POST", "http://"+address(t, a)+"/v1/alerts", alertOf(addr), "Authorization", token)
		if status != 201 {
			t.Errorf("an alert about %s: %d %s", addr, status, text)
		}
		if got := a.Decide(netip.MustParseAddr(addr)); got.Action != decisions.None || !got.Allowed {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}

// TestAPIInAFleet: a key that is added on one node works on the other, as does a
// token, and neither after it is gone; also with Redis away in between.
func TestAPIInAFleet(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	a, b := pair(t, s.Addr(), served(Config{}))
	key := bouncer(t, a, "fw")
	at := "http://" + address(t, b)
	until(t, "the key works on the other node", func() bool { return lookUp(t, at, key) == 200 })
	until(t, "both have one secret", func() bool {
		return bytes.Equal(*apiOf(a).token.Load(), *apiOf(b).token.Load())
	})
	token := agent(t, a, "web-1")
	until(t, "the agent is known on the other node", func() bool {
		status, _ := callAPI(t, fresh(), "GET", at+"/v1/heartbeat", "", "Authorization", token)
		return status == 200
	})
	s.Kill()
	until(t, "both notice", func() bool { return !fleetOf(a).client.Up() && !fleetOf(b).client.Up() })
	if err := apiOf(a).registry.DeleteBouncer("fw"); err != nil {
		t.Fatal(err)
	}
	if status := lookUp(t, at, key); status != 200 {
		t.Errorf("the other node cannot know, and says %d", status)
	}
	s.Restart(true)
	until(t, "the key is gone on the other node", func() bool { return lookUp(t, at, key) == 403 })
	if status, _ := callAPI(t, fresh(), "GET", at+"/v1/heartbeat", "", "Authorization", token); status != 200 {
		t.Errorf("the token after Redis was emptied: %d", status)
	}
}

// TestAPIConfigErrors: each names what is wrong, and none tells a secret.
func TestAPIConfigErrors(t *testing.T) {
	short := "short-secret"
	for want, c := range map[string]Config{
		"off takes no listen":   {API: &APIConfig{Off: true, Listen: "127.0.0.1:1"}},
		"api listen":            {API: &APIConfig{Listen: "localhost"}},
		"absolute path":         {API: &APIConfig{Socket: "api.sock"}},
		"certificate and its":   {API: &APIConfig{TLS: &APITLS{Cert: "x"}}},
		"reading certificate":   {API: &APIConfig{TLS: &APITLS{Cert: "/absent", Key: "/absent"}}},
		"need tls and client":   {API: &APIConfig{AgentOUs: []string{"x"}}},
		"crl needs client_ca":   {API: &APIConfig{TLS: &APITLS{Cert: "/absent", Key: "/absent", CRL: "/absent"}}},
		"at least 32":           {API: &APIConfig{AutoRegistration: &AutoRegistration{Token: short, Ranges: []string{"192.0.2.0/24"}}}},
		"may come from":         {API: &APIConfig{AutoRegistration: &AutoRegistration{Token: strings.Repeat("x", 32)}}},
		"trusted_ips":           {API: &APIConfig{TrustedIPs: []string{"somebody"}}},
		"autodelete":            {API: &APIConfig{Autodelete: Autodelete{Unvalidated: -1}}},
		"community pull":        {Community: &CommunityConfig{Pull: []string{"everything"}}},
		"off stands alone":      {Community: &CommunityConfig{Pull: []string{"off", "lists"}}},
		"community share":       {Community: &CommunityConfig{Share: []string{"custom"}}},
		"community every":       {Community: &CommunityConfig{Every: Duration(time.Second)}},
		"community url":         {Community: &CommunityConfig{URL: "https://user:hidden@capi.example/"}},
		"reading receivers":     {Notifications: "/absent"},
		"list x is there twice": {Lists: []FeedConfig{{Name: "x", URL: "https://a.example/"}, {Name: "x", URL: "https://b.example/"}}},
		"list y":                {Lists: []FeedConfig{{Name: "y", URL: "gopher://a.example/"}}},
		"aggregate: count":      {Aggregate: &AggregateConfig{Count: 1}},
	} {
		c.DataDir = t.TempDir()
		_, err := Compile(c, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		} else if strings.Contains(err.Error(), short) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}
