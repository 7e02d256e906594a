package localapi

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit"
)

const (
	firewallReport = `{"log_processors":null,"remediation_components":[{"feature_flags":[],"metrics":[{"items":[
		{"labels":{"ip_type":"ipv4","origin":"cscli"},"name":"active_decisions","unit":"ip","value":4},
		{"labels":{"origin":"cscli","ip_type":"ipv4"},"name":"dropped","unit":"byte","value":60},
		{"labels":{"ip_type":"ipv4"},"name":"processed","unit":"packet","value":55}],
		"meta":{"utc_now_timestamp":1795435155,"window_size_seconds":4}}],"os":{"family":"debian","name":"debian","version":"12.11"},
		"utc_startup_timestamp":1795435143,"version":"","type":"crowdsec-firewall-bouncer","name":"liar"}]}`
	agentReport = `{"log_processors":[{"feature_flags":[],"metrics":[{"items":[],"meta":{"utc_now_timestamp":1795435768,"window_size_seconds":1800}}],
		"os":{"name":"debian","version":"12.11"},"utc_startup_timestamp":1795435768,"version":"","datasources":{"file":1},
		"hub_items":{"appsec-configs":[],"parsers":[{"name":"crowdsecurity/sshd-logs","status":"custom"}]}}],"remediation_components":null}`
)

func TestUsageMetrics(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	tok := d.login("m", "pw")
	element := func(fields string) string {
		return `{"remediation_components":[{"version":"v","utc_startup_timestamp":1` + fields + `}]}`
	}
	meta := `"meta":{"window_size_seconds":1,"utc_now_timestamp":2}`
	for _, c := range []struct {
		name, body string
		ask        ask
		want       int
		answer     string
	}{
		{"firewall", firewallReport, key(k), 201, ""},
		{"agent", agentReport, token(tok), 201, ""},
		{"least", element(""), key(k), 201, ""},
		{"empty objects for arrays", element(`,"feature_flags":{},"metrics":{}`), key(k), 201, ""},
		{"one object for metrics", element(`,"metrics":{"items":[],` + meta + `}`), key(k), 201, ""},
		{"empty arrays for objects", element(`,"hub_items":[],"metrics":[{` + meta + `,"items":[{"name":"n","unit":"u","value":1,"labels":[]}]}]`), key(k), 201, ""},
		{"one component alone", `{"remediation_components":{"version":"v","utc_startup_timestamp":1}}`, key(k), 201, ""},
		{"null lists", element(`,"feature_flags":null,"metrics":null,"os":null`), key(k), 201, ""},
		{"unknown fields", element(`,"x":{"y":1}`), key(k), 201, ""},
		{"the other kind", agentReport, key(k), 400, `{"message":"Missing remediation component data"}`},
		{"the other kind too", firewallReport, token(tok), 400, `{"message":"Missing log processor data"}`},
		{"nothing", `{}`, key(k), 400, `{"message":"Missing remediation component data"}`},
		{"two", `{"remediation_components":[{"version":"","utc_startup_timestamp":1},{"version":"","utc_startup_timestamp":1}]}`, key(k), 400,
			`{"message":"Payload has more than one remediation component"}`},
		{"lacks", `{"remediation_components":[{}]}`, key(k), 422,
			`{"message":"validation failure list:\nversion in body is required\nutc_startup_timestamp in body is required"}`},
		{"lacks meta", element(`,"metrics":[{"items":[]}]`), key(k), 422, `{"message":"validation failure list:\nmetrics.0.meta in body is required"}`},
		{"lacks a value", element(`,"metrics":[{"items":[{"name":"n","unit":"u"}],` + meta + `}]`), key(k), 422,
			`{"message":"validation failure list:\nmetrics.0.items.value in body is required"}`},
		{"long version", strings.Replace(element(""), `"v"`, `"`+strings.Repeat("v", 256)+`"`, 1), key(k), 422,
			`{"message":"validation failure list:\nversion in body should be at most 255 chars long"}`},
		{"bad key", firewallReport, key("x"), 403, forbidden},
		{"bad token", agentReport, token("a.b"), 401, `{"code":401,"message":"token contains an invalid number of segments"}`},
	} {
		if a := d.do("POST", "/v1/usage-metrics", c.body, c.ask); a.status != c.want || a.body != c.answer {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	for _, bad := range []string{`junk`, `[]`, element(`,"metrics":3`), element(`,"feature_flags":{"a":1}`), element(`,"metrics":[{"items":[{"value":"1"}]}]`), ``} {
		if a := d.do("POST", "/v1/usage-metrics", bad, key(k)); a.status != 400 || !strings.HasPrefix(a.body, `{"message":`) {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
}

func TestUsageTotals(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	for range 3 {
		d.do("POST", "/v1/usage-metrics", firewallReport, key(k)).want(t, 201, "")
	}
	d.do("POST", "/v1/usage-metrics", agentReport, token(d.login("m", "pw"))).want(t, 201, "")
	d.registry.Pulled("fw", "fw", Cursor{})
	check := func() {
		t.Helper()
		all := d.registry.Usage()
		if len(all) != 2 || all[0].Name != "fw" || all[1].Name != "m" || all[1].Kind != "machine" {
			t.Fatalf("%+v", all)
		}
		want := []Total{
			{"active_decisions", "ip", map[string]string{"ip_type": "ipv4", "origin": "cscli"}, 4},
			{"dropped", "byte", map[string]string{"ip_type": "ipv4", "origin": "cscli"}, 180},
			{"processed", "packet", map[string]string{"ip_type": "ipv4"}, 165},
		}
		if d := cmp.Diff(want, all[0].Totals); d != "" {
			t.Error(d)
		}
		var e map[string]any
		d.must(json.Unmarshal(all[0].Element, &e))
		if e["name"] != "fw" || e["type"] != "test" || e["last_pull"] != float64(d.clock.Now().Unix()) || e["version"] != "" {
			t.Errorf("element %s", all[0].Element)
		}
		if s := string(all[1].Element); !strings.Contains(s, `"hub_items":{"appsec-configs":[],"parsers":[{"name"`) || !strings.Contains(s, `"datasources":{"file":1}`) {
			t.Errorf("element %s", s)
		}
	}
	check()
	d.restart()
	check()
	d.must(d.registry.DeleteBouncer("fw"))
	d.must(d.registry.DeleteMachine("m"))
	if all := d.registry.Usage(); len(all) != 0 || d.registry.kept != 0 {
		t.Errorf("%v, %d bytes are left", all, d.registry.kept)
	}
}

// TestUsageIsBounded: nobody makes the registry long by what it reports.
func TestUsageIsBounded(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	report := func(from, n int, label string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"name":"dropped","unit":"byte","value":1,"labels":{"origin":"%s%d"}}`, label, from+i))
		}
		return `{"remediation_components":[{"version":"v","utc_startup_timestamp":1,"metrics":[{"items":[` + strings.Join(items, ",") +
			`],"meta":{"window_size_seconds":1,"utc_now_timestamp":2}}]}]}`
	}
	d.do("POST", "/v1/usage-metrics", report(0, 5000, ""), key(k)).want(t, 201, "")
	d.do("POST", "/v1/usage-metrics", report(5000, 5000, strings.Repeat("<", 200)), key(k)).want(t, 201, "")
	u := d.registry.Usage()[0]
	if len(u.Totals) != maxSeries || u.Dropped != 9000 || len(u.Element) > maxKeptElement+200 {
		t.Errorf("%d totals, %d dropped, element of %d bytes", len(u.Totals), u.Dropped, len(u.Element))
	}
	if a := d.do("POST", "/v1/usage-metrics", report(0, maxItems+1, ""), key(k)); a.status != 422 {
		t.Errorf("too many items: %d", a.status)
	}
	d.must(d.registry.DeleteBouncer("fw"))
	k, err = d.registry.AddBouncer("fw", "")
	d.must(err)
	d.do("POST", "/v1/usage-metrics", report(0, 1000, strings.Repeat("<", 200)), key(k)).want(t, 201, "")
	d.must(d.registry.writeDirty())
	stored, err := d.db.Get(tableUsage, "bouncer/fw")
	d.must(err)
	if len(stored) == 0 || len(stored) > maxKeptRow {
		t.Errorf("%d bytes are stored", len(stored))
	}
}

// TestHugeUsage: figures that have no end can be told and kept as well.
func TestHugeUsage(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	const report = `{"remediation_components":[{"version":"v","utc_startup_timestamp":1,"metrics":[{"items":[{"name":"n","unit":"u","value":1.5e308}],
		"meta":{"window_size_seconds":1,"utc_now_timestamp":2}}]}]}`
	for range 2 {
		d.do("POST", "/v1/usage-metrics", report, key(k)).want(t, 201, "")
	}
	if _, err := json.Marshal(d.registry.Usage()); err != nil {
		t.Error(err)
	}
	d.restart()
	if all := d.registry.Usage(); len(all) != 1 || len(all[0].Totals) != 1 || all[0].Totals[0].Value != math.MaxFloat64 {
		t.Errorf("after a restart: %+v", all)
	}
}

// TestUsageCaptures: what real clients sent, those too that the real server refused.
func TestUsageCaptures(t *testing.T) {
	d := newDesk(t)
	k, err := d.registry.AddBouncer("b", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	tok := d.login("m", "pw")
	for _, name := range []string{"agent/agent-002", "fw-bouncer/fw-022", "go-cs-bouncer/gocs-003", "go-cs-bouncer/gocs-006",
		"nginx-lua/nginx-007", "nginx-lua/nginx-015"} {
		who := key(k)
		if strings.HasPrefix(name, "agent") {
			who = token(tok)
		}
		d.do("POST", "/v1/usage-metrics", string(testkit.ReadCapture(t, name).Request.Body), who).want(t, 201, "")
	}
	if all := d.registry.Usage(); len(all) != 2 || len(all[0].Totals) == 0 {
		t.Errorf("%+v", all)
	}
}

func FuzzUsageMetrics(f *testing.F) {
	f.Add(firewallReport)
	f.Add(`{"remediation_components":{"version":"","utc_startup_timestamp":1,"feature_flags":{},"metrics":{"items":{},"meta":{"window_size_seconds":1,"utc_now_timestamp":1}}}}`)
	f.Add(agentReport)
	d := fuzzDesk(f)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	f.Fuzz(func(t *testing.T, body string) {
		d := d.on(t)
		a := d.do("POST", "/v1/usage-metrics", body, key(k))
		if a.status != 201 && a.status != 400 && a.status != 422 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, u := range d.registry.Usage() { // what is kept can be kept and read again
			if !json.Valid(u.Element) || len(u.Totals) > maxSeries {
				t.Errorf("kept: %s, %d totals", u.Element, len(u.Totals))
			}
		}
		d.must(d.registry.writeDirty())
	})
}
