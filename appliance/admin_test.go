package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// call asks the API; body is sent as JSON unless it is a string or nil.
func call(t testing.TB, a *Appliance, method, path string, body any) (int, []byte) {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	w := httptest.NewRecorder()
	a.ServeAdmin(w, httptest.NewRequest(method, path, strings.NewReader(text)))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return w.Code, w.Body.Bytes()
}

// ask is call for what must succeed.
func ask[T any](t testing.TB, a *Appliance, method, path string, body any) T {
	t.Helper()
	var v T
	status, data := call(t, a, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, status, data)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, data)
	}
	return v
}

// refusal is a request that is refused, with its status and a part of the reason.
type refusal struct {
	method, path, body string
	status             int
	want               string
}

func refused(t *testing.T, a *Appliance, list []refusal) {
	t.Helper()
	for _, tt := range list {
		status, data := call(t, a, tt.method, tt.path, tt.body)
		var e map[string]string
		if err := json.Unmarshal(data, &e); err != nil || len(e) != 1 {
			t.Errorf("%s %s: the answer is %s", tt.method, tt.path, data)
		}
		if status != tt.status || !strings.Contains(e["error"], tt.want) {
			t.Errorf("%s %s %.60s: %d %q, want %d with %q", tt.method, tt.path, tt.body, status, e["error"], tt.status, tt.want)
		}
	}
}

func TestAdminRefusesBadInput(t *testing.T) {
	a := open(t, Config{})
	long := strings.Repeat("x", maxAdminText+1)
	refused(t, a, []refusal{
		{"GET", "/rampart/nothing", "", 404, "there is no GET /rampart/nothing"},
		{"PUT", "/rampart/status", "", 404, "there is no PUT /rampart/status"},
		{"GET", "/rampart/decisions?id=x", "", 400, `id "x"`},
		{"GET", "/rampart/decisions?ip=192.0.2.0/24", "", 400, `"192.0.2.0/24" is not an address`},
		{"GET", "/rampart/decisions?vaule=192.0.2.1", "", 400, `"vaule" is unknown`},
		{"POST", "/rampart/decisions", "", 400, "reading the request body"},
		{"POST", "/rampart/decisions", "{", 400, "reading the request body"},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1"}{}`, 400, "more than one"},
		{"POST", "/rampart/decisions", `{"vaule":"192.0.2.1"}`, 400, "vaule"},
		{"POST", "/rampart/decisions", `{"value":"192.0.2"}`, 400, `"192.0.2"`},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1","duration":"4"}`, 400, `duration "4"`},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1","duration":"-4h"}`, 400, `duration "-4h"`},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1","type":"bann"}`, 400, `type "bann"`},
		{"POST", "/rampart/decisions", `{"value":"0.0.0.0/0"}`, 400, "too wide"},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.0/24","scope":"Ip"}`, 400, "scope Range"},
		{"POST", "/rampart/decisions", `{"value":"XYZ","scope":"Country"}`, 400, "two letters"},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1","reason":"` + long + `"}`, 400, "reason"},
		{"POST", "/rampart/decisions", `{"value":"192.0.2.1","reason":"\u001b[2J"}`, 400, "reason"},
		{"POST", "/rampart/decisions", `{"value":"` + strings.Repeat("1", maxAdminBody) + `"}`, 400, "reading the request body"},
		{"DELETE", "/rampart/decisions", "", 400, "nothing named"},
		{"DELETE", "/rampart/decisions?all=yes", "", 400, "nothing named"},
		{"DELETE", "/rampart/decisions?all=true&typ=ban", "", 400, `"typ" is unknown`},
		{"GET", "/rampart/alerts?limit=0", "", 400, `limit "0"`},
		{"GET", "/rampart/alerts?limit=100000", "", 400, `limit "100000"`},
		{"GET", "/rampart/alerts?since=-1h", "", 400, `duration "-1h"`},
		{"GET", "/rampart/alerts?scenrio=x", "", 400, `"scenrio" is unknown`},
		{"GET", "/rampart/alerts/x", "", 400, `"x" is not a number`},
		{"GET", "/rampart/alerts/77", "", 404, "no alert 77"},
		{"GET", "/rampart/why/", "", 400, "neither an address nor an incident"},
		{"GET", "/rampart/why/01ARZ3NDEKTSV4RRFFQ69G5FA", "", 400, "neither an address nor an incident"},
		{"GET", "/rampart/why/" + a.live.Load().state.minter.Mint(time.Now(), 12345), "", 404, "not known here"},
		{"POST", "/rampart/unban", `{"value":"everybody"}`, 400, `"everybody"`},
		{"POST", "/rampart/unban", `{"ip":"192.0.2.1"}`, 400, "ip"},
		{"POST", "/rampart/allowlist", `{"value":"192.0.2.1/40"}`, 400, "192.0.2.1/40"},
		{"POST", "/rampart/allowlist", `{"value":"192.0.2.1","duration":"0s"}`, 400, `duration "0s"`},
		{"POST", "/rampart/allowlist", `{"value":"192.0.2.1","comment":"` + long + `"}`, 400, "comment"},
		{"DELETE", "/rampart/allowlist", "", 400, "neither an address nor a network"},
		{"DELETE", "/rampart/allowlist?value=192.0.2.1", "", 404, "no such allowlist entry"},
		{"DELETE", "/rampart/allowlist?value=127.0.0.0/8", "", 409, "built in"},
	})
	if list := ask[[]event.Alert](t, a, "GET", "/rampart/alerts", nil); len(list) != 0 {
		t.Errorf("what was refused left alerts: %+v", list)
	}
}

// TestAdminDecisions: made by hand, listed, looked up, deleted.
func TestAdminDecisions(t *testing.T) {
	a := open(t, Config{})
	const path = "/rampart/decisions"
	if list := ask[[]decisions.Decision](t, a, "GET", path, nil); list == nil || len(list) != 0 {
		t.Errorf("at first %v", list)
	}
	made := ask[DecisionAnswer](t, a, "POST", path, DecisionRequest{Value: "::ffff:192.0.2.7", Reason: "abuse mail"})
	if len(made.Decisions) != 1 || made.AlertID == 0 {
		t.Fatalf("%+v", made)
	}
	d := made.Decisions[0]
	if d.Value != "192.0.2.7" || d.Scope != "Ip" || d.Type != "ban" || d.Origin != "rampart" || d.Scenario != "manual: abuse mail" ||
		!d.Direct || d.Suppressed || d.Until.Sub(d.Created) != 4*time.Hour {
		t.Errorf("%+v", d)
	}
	if v := visit(a, from("192.0.2.7"), "/", 200); v.Action != Refuse || v.Scenario != "manual: abuse mail" || v.DecisionID != d.ID {
		t.Errorf("its next request: %+v", v)
	}
	for _, q := range []DecisionRequest{{Value: "198.51.100.0/24", Type: "captcha", Duration: "2d"},
		{Value: "2001:db8::/48", Type: "throttle", Duration: "90s"}, {Value: "fr", Scope: "Country"}} {
		ask[DecisionAnswer](t, a, "POST", path, q)
	}
	for query, want := range map[string]int{"": 4, "?type=captcha": 1, "?ip=2001:db8::5": 1, "?ip=192.0.2.8": 0, "?scope=Country": 1,
		"?value=198.51.100.0/24": 1, "?origin=rampart&all=true": 4, "?scenario=manual": 3, fmt.Sprintf("?id=%d", d.ID): 1} {
		if list := ask[[]decisions.Decision](t, a, "GET", path+query, nil); len(list) != want {
			t.Errorf("%s: %d decisions, want %d", query, len(list), want)
		}
	}
	alert := ask[event.Alert](t, a, "GET", fmt.Sprintf("/rampart/alerts/%d", made.AlertID), nil)
	if alert.Kind != "rampart" || alert.Source.IP != "192.0.2.7" || len(alert.Decisions) != 1 || alert.Decisions[0].ID != d.ID ||
		!strings.Contains(alert.Message, "abuse mail") {
		t.Errorf("its alert: %+v", alert)
	}
	for query, want := range map[string]int{"": 4, "?value=192.0.2.7": 1, "?scenario=manual": 3, "?since=1h": 4, "?limit=2": 2} {
		if list := ask[[]event.Alert](t, a, "GET", "/rampart/alerts"+query, nil); len(list) != want {
			t.Errorf("alerts %s: %d, want %d", query, len(list), want)
		}
	}
	if gone := ask[Deleted](t, a, "DELETE", path+"?type=captcha", nil); len(gone.Deleted) != 1 || gone.Deleted[0].Value != "198.51.100.0/24" {
		t.Errorf("deleted %+v", gone)
	}
	if gone := ask[Deleted](t, a, "DELETE", path+"?type=captcha", nil); gone.Deleted == nil || len(gone.Deleted) != 0 {
		t.Errorf("deleted again: %+v", gone)
	}
	if gone := ask[Deleted](t, a, "DELETE", path+"?all=true", nil); len(gone.Deleted) != 3 {
		t.Errorf("deleted all: %+v", gone)
	}
	if v := visit(a, from("192.0.2.7"), "/", 200); v.Action != Pass {
		t.Errorf("after that: %s", v.Action)
	}
}

// TestAdminUnban: an address is free afterwards, whatever stood against it.
func TestAdminUnban(t *testing.T) {
	a := open(t, Config{})
	for _, value := range []string{"192.0.2.7", "192.0.2.0/24", "192.0.2.8", "2001:db8::/64"} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: value})
	}
	if gone := ask[Deleted](t, a, "POST", "/rampart/unban", map[string]string{"value": "192.0.2.7"}); len(gone.Deleted) != 2 {
		t.Errorf("unbanned %+v", gone)
	}
	if gone := ask[Deleted](t, a, "POST", "/rampart/unban", map[string]string{"value": "2001:db8::9"}); len(gone.Deleted) != 1 {
		t.Errorf("unbanned %+v", gone)
	}
	for addr, want := range map[string]decisions.Action{"192.0.2.7": decisions.None, "192.0.2.8": decisions.Ban, "2001:db8::9": decisions.None} {
		if v := a.Decide(netip.MustParseAddr(addr)); v.Action != want {
			t.Errorf("%s: %s, want %s", addr, v.Action, want)
		}
	}
}

// TestAdminAllowlist: an entry lifts what stands against it and its removal brings
// it back; a decision against it is recorded, and said to be suppressed.
func TestAdminAllowlist(t *testing.T) {
	a := open(t, Config{Allow: []string{"198.51.100.0/24"}, Trusted: func(x netip.Addr) bool { return x == netip.MustParseAddr("203.0.113.1") }})
	proxy := ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "203.0.113.1"})
	if !proxy.Decisions[0].Suppressed {
		t.Errorf("against a trusted proxy: %+v", proxy.Decisions[0])
	}
	ask[Deleted](t, a, "DELETE", "/rampart/decisions?value=203.0.113.1", nil)
	ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "192.0.2.7"})
	e := ask[decisions.AllowEntry](t, a, "POST", "/rampart/allowlist", AllowRequest{Value: "192.0.2.0/24", Duration: "1d", Comment: "office"})
	if e.Kind != decisions.KindManual || e.Prefix.String() != "192.0.2.0/24" || e.Until.Sub(e.Created) != 24*time.Hour || e.Comment != "office" {
		t.Errorf("%+v", e)
	}
	if v := a.Decide(netip.MustParseAddr("192.0.2.7")); !v.Allowed {
		t.Errorf("%+v", v)
	}
	made := ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", DecisionRequest{Value: "198.51.100.9"})
	if !made.Decisions[0].Suppressed {
		t.Errorf("against the allowlist: %+v", made.Decisions[0])
	}
	if s := ask[Status](t, a, "GET", "/rampart/status", nil); s.Suppressed != 2 || len(s.Decisions) != 0 {
		t.Errorf("status: %d suppressed, %v", s.Suppressed, s.Decisions)
	}
	kinds := map[string]int{}
	for _, e := range ask[[]decisions.AllowEntry](t, a, "GET", "/rampart/allowlist", nil) {
		kinds[e.Kind]++
	}
	if kinds[decisions.KindManual] != 1 || kinds[decisions.KindConfig] != 1 || kinds[decisions.KindLoopback] != 2 {
		t.Errorf("kinds %v", kinds)
	}
	ask[map[string]string](t, a, "DELETE", "/rampart/allowlist?value=192.0.2.0/24", nil)
	if v := a.Decide(netip.MustParseAddr("192.0.2.7")); v.Action != decisions.Ban {
		t.Errorf("after the removal: %+v", v)
	}
	gone := ask[Deleted](t, a, "DELETE", "/rampart/decisions?value=198.51.100.9", nil)
	if len(gone.Deleted) != 1 {
		t.Error("a suppressed decision cannot be deleted")
	}
}

// TestAdminStatus: the shape, in force or not.
func TestAdminStatus(t *testing.T) {
	a := New(Options{Node: "test"})
	if status, data := call(t, a, "GET", "/rampart/status", nil); status != 503 || !strings.Contains(string(data), "not running") {
		t.Errorf("before the first settings: %d %s", status, data)
	}
	if got := a.Contact(); got != "" || a.Decide(netip.MustParseAddr("192.0.2.7")).Action != decisions.None || a.Refuses(netip.MustParseAddr("192.0.2.7")) {
		t.Error("something is decided before the first settings")
	}
	s, err := Compile(Config{DataDir: t.TempDir()}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Use(s); err != nil {
		t.Fatal(err)
	}
	visit(a, from("192.0.2.7"), "/", 200)
	got := ask[map[string]any](t, a, "GET", "/rampart/status", nil)
	for _, list := range []string{"sources", "problems"} {
		if v, ok := got[list].([]any); !ok || len(v) != 0 {
			t.Errorf("%s is %v, want an empty list", list, got[list])
		}
	}
	a.Begin(httptest.NewRequest("GET", "/", nil), Arrival{})
	var st Status
	if _, data := call(t, a, "GET", "/rampart/status", nil); json.Unmarshal(data, &st) != nil || st.Requests.Passed != 1 || st.Requests.Unknown != 1 ||
		!st.LastStop.First || st.Scenarios.Loaded == 0 || len(st.Scenarios.RequestPhase) == 0 || st.Firewall.Active != FirewallOff {
		t.Errorf("%s", data)
	}
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if status, _ := call(t, a, "GET", "/rampart/status", nil); status != 503 {
		t.Errorf("after Close: %d", status)
	}
}

// TestStatusIsCheap: neither status nor metrics look at the decisions one by one.
func TestStatusIsCheap(t *testing.T) {
	a := open(t, Config{})
	measure := func() float64 {
		return testing.AllocsPerRun(5, func() { call(t, a, "GET", "/rampart/status", nil); gather(t, a) })
	}
	before := measure()
	fill(t, a, 100_000)
	if st := ask[Status](t, a, "GET", "/rampart/status", nil); st.Decisions["ban"] != 100_000 {
		t.Fatalf("%v", st.Decisions)
	}
	if after := measure(); after > before+500 {
		t.Errorf("%v allocations with 100,000 decisions, %v without", after, before)
	}
}
