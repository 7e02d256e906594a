package appliance

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// report has a bouncer call the Local API and tell of its work.
func report(t *testing.T, a *Appliance, key string) {
	t.Helper()
	body := `{"remediation_components":[{"version":"v1","utc_startup_timestamp":1795544071,"feature_flags":["x"],"os":{"name":"debian","version":"12"},
		"metrics":[{"meta":{"window_size_seconds":60,"utc_now_timestamp":1795544071},"items":[{"name":"dropped","value":7,"unit":"packet","labels":{"origin":"CAPI"}}]}]}]}`
	r := httptest.NewRequest(http.MethodPost, "/v1/usage-metrics", strings.NewReader(body))
	r.Header.Set("X-Api-Key", key)
	r.Header.Set("User-Agent", "fw/v1")
	w := httptest.NewRecorder()
	a.LocalAPI(func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }).ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("reporting: %d %s", w.Code, w.Body)
	}
}

// TestOpenAPIRoster is TestOpenAPIAnswers for callers of the Local API, named
// allowlists, imports and exports.
func TestOpenAPIRoster(t *testing.T) {
	d := openDocument(t)
	a := open(t, Config{API: &APIConfig{Off: true}})
	report(t, a, ask[BouncerAnswer](t, a, "POST", "/rampart/bouncers", BouncerRequest{Name: "fw"}).Key)
	one := ask[BouncerDetail](t, a, "GET", "/rampart/bouncers/fw", nil)
	if u := one.Usage; u == nil || u.OS != "debian 12" || len(u.Totals) != 1 || u.Totals[0].Value != 7 || one.Bouncer.IP != "192.0.2.1" {
		t.Errorf("got %+v", one)
	}
	for _, c := range []struct {
		method, path, at string
		body             any
	}{
		{"GET", "/rampart/bouncers/fw", "/rampart/bouncers/{name}", nil},
		{"POST", "/rampart/decisions", "", DecisionRequest{Value: "127.0.0.1", UnlessAllowed: true}},
		{"POST", "/rampart/decisions/import", "", ImportRequest{Rows: []ImportRow{{Value: "192.0.2.77"}, {Value: "x"}, {Value: "127.0.0.1"}}}},
		{"POST", "/rampart/decisions/import", "", ImportRequest{}},
		{"GET", "/rampart/decisions/export", "", nil},
		{"GET", "/rampart/decisions/export?limit=x", "", nil},
		{"GET", "/rampart/allowlists", "", nil},
		{"POST", "/rampart/allowlists", "", AllowListRequest{Name: "one", Description: "x"}},
		{"POST", "/rampart/allowlists", "", AllowListRequest{Name: "one"}},
		{"POST", "/rampart/allowlists", "", AllowListRequest{}},
		{"POST", "/rampart/allowlists/one/items", "/rampart/allowlists/{name}/items", AllowItemsRequest{Items: []string{"192.0.2.77", "a.example", "a..b"}, Duration: "1d"}},
		{"POST", "/rampart/allowlists/one/items", "/rampart/allowlists/{name}/items", AllowItemsRequest{}},
		{"POST", "/rampart/allowlists/none/items", "/rampart/allowlists/{name}/items", AllowItemsRequest{Items: []string{"x"}}},
		{"GET", "/rampart/allowlists/one", "/rampart/allowlists/{name}", nil},
		{"GET", "/rampart/allowlists/none", "/rampart/allowlists/{name}", nil},
		{"GET", "/rampart/allowed/192.0.2.77", "/rampart/allowed/{value}", nil},
		{"GET", "/rampart/allowed/x", "/rampart/allowed/{value}", nil},
		{"DELETE", "/rampart/allowlists/one/items?value=192.0.2.77", "/rampart/allowlists/{name}/items", nil},
		{"DELETE", "/rampart/allowlists/one/items", "/rampart/allowlists/{name}/items", nil},
		{"DELETE", "/rampart/allowlists/default", "/rampart/allowlists/{name}", nil},
		{"DELETE", "/rampart/allowlists/one", "/rampart/allowlists/{name}", nil},
		{"DELETE", "/rampart/allowlists/one", "/rampart/allowlists/{name}", nil},
		{"POST", "/rampart/bouncers", "", BouncerRequest{Name: "one"}},
		{"POST", "/rampart/bouncers", "", BouncerRequest{Name: "one"}},
		{"POST", "/rampart/bouncers", "", BouncerRequest{}},
		{"GET", "/rampart/bouncers", "", nil},
		{"GET", "/rampart/bouncers?unused=x", "", nil},
		{"GET", "/rampart/bouncers/one", "/rampart/bouncers/{name}", nil},
		{"GET", "/rampart/bouncers/none", "/rampart/bouncers/{name}", nil},
		{"DELETE", "/rampart/bouncers/one", "/rampart/bouncers/{name}", nil},
		{"DELETE", "/rampart/bouncers?unused=1h", "", nil},
		{"DELETE", "/rampart/bouncers", "", nil},
		{"POST", "/rampart/machines", "", MachineRequest{Name: "one"}},
		{"POST", "/rampart/machines", "", MachineRequest{Name: "one"}},
		{"GET", "/rampart/machines", "", nil},
		{"GET", "/rampart/machines/one", "/rampart/machines/{name}", nil},
		{"GET", "/rampart/machines/none", "/rampart/machines/{name}", nil},
		{"POST", "/rampart/machines/one/validate", "/rampart/machines/{name}/validate", nil},
		{"POST", "/rampart/machines/none/validate", "/rampart/machines/{name}/validate", nil},
		{"DELETE", "/rampart/machines/one", "/rampart/machines/{name}", nil},
		{"DELETE", "/rampart/machines?unused=1h", "", nil},
		{"DELETE", "/rampart/machines", "", nil},
		{"DELETE", "/rampart/alerts/1", "/rampart/alerts/{id}", nil},
		{"DELETE", "/rampart/alerts/1", "/rampart/alerts/{id}", nil},
		{"POST", "/rampart/alerts/flush", "", FlushRequest{MaxAge: "1d"}},
		{"POST", "/rampart/alerts/flush", "", FlushRequest{}},
		{"DELETE", "/rampart/alerts?all=true", "", nil},
		{"DELETE", "/rampart/alerts", "", nil},
	} {
		if c.at == "" {
			c.at, _, _ = strings.Cut(c.path, "?")
		}
		status, data := call(t, a, c.method, c.path, c.body)
		d.answer(c.method, c.path, c.at, status, data)
	}
}
