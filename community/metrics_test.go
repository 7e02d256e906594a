package community

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

func metricsDesk(t *testing.T) (*desk, *Roster) {
	d := newDesk(t)
	roster := &Roster{
		Machines: []Machine{{Name: "web1", Version: "v1", LastPush: testStart.Add(-time.Minute), LastUpdate: testStart}, {Name: "web2"}},
		Bouncers: []Bouncer{{Name: "fw", Type: "cs-firewall-bouncer", Version: "v0.1", LastPull: testStart}, {Name: "gen"}}}
	d.o.Roster = func() Roster { return *roster }
	d.config.Metrics, d.config.Pull, d.config.Sharing = true, false, false
	d.restart()
	return d, roster
}

// TestMetrics: at the start, when machines come and go, and every half hour.
func TestMetrics(t *testing.T) {
	d, roster := metricsDesk(t)
	d.push(time.Minute)
	got := d.server.Metrics()
	if len(got) != 1 {
		t.Fatalf("%d metrics after the start", len(got))
	}
	want := `{"apil_version":"1.2","bouncers":[{"custom_name":"bouncer-1","last_pull":"2026-11-23T12:00:00Z","name":"cs-firewall-bouncer","version":"v0.1"},{"custom_name":"bouncer-2"}],` +
		`"machines":[{"last_push":"2026-11-23T11:59:00Z","last_update":"2026-11-23T12:00:00Z","name":"machine-1","version":"v1"},{"name":"machine-2"}]}`
	if diff := cmp.Diff(want, string(got[0])); diff != "" {
		t.Error(diff)
	}
	roster.Machines = append(roster.Machines, Machine{Name: "web3"})
	d.push(time.Minute)
	if n := len(d.server.Metrics()); n != 2 {
		t.Errorf("%d metrics after a machine came", n)
	}
	d.push(2 * time.Hour)
	if n := len(d.server.Metrics()); n < 2+3 || n > 2+5 {
		t.Errorf("%d metrics after two hours", n)
	}
	d.use(func(c *Config) { c.Share.Names = true })
	if m := d.client.Metrics(); m.Machines[2].Name != "web3" || m.Bouncers[0].CustomName != "fw" {
		t.Errorf("with names: %+v", m)
	}
}

// TestMetricsFail: they are sent again, but not in a hurry.
func TestMetricsFail(t *testing.T) {
	d, _ := metricsDesk(t)
	d.server.Fail(1, 1, "/v3/metrics/", capitest.Internal)
	d.push(10 * time.Minute)
	if n := len(d.server.Requests("/v3/metrics/")); n < 4 || n > 9 {
		t.Errorf("%d tries in ten minutes", n)
	}
	if s := d.client.Status(); s.Reachable || s.LastError == "" {
		t.Errorf("got %+v", s)
	}
	d.server.Fail(0, 1, "")
	d.push(30 * time.Minute)
	if s := d.client.Status(); !s.Reachable || s.LastMetrics.IsZero() {
		t.Errorf("got %+v", s)
	}
}

// TestNoMetrics: nobody asked for them.
func TestNoMetrics(t *testing.T) {
	d := newDesk(t)
	d.push(2 * time.Hour)
	d.expectRequests("/v3/metrics/", 0)
	d.expectRequests("/v3/usage-metrics", 0)
}

func TestUsage(t *testing.T) {
	d, _ := metricsDesk(t)
	body, sent := json.RawMessage(`{"lapi":null,"log_processors":[],"remediation_components":[]}`), 0
	d.o.Usage = func() (json.RawMessage, func()) { return body, func() { sent++ } }
	d.restart()
	d.push(46 * time.Minute)
	// First after 15 to 45 min, then every 30.
	got := d.server.Usage()
	if len(got) < 1 || len(got) > 2 || string(got[0]) != string(body) || sent != len(got) {
		t.Errorf("%d bodies, %d marked", len(got), sent)
	}
	body = nil
	d.push(time.Hour)
	if len(d.server.Usage()) != len(got) {
		t.Errorf("%d bodies though there is nothing to send", len(d.server.Usage()))
	}
}

func TestEnroll(t *testing.T) {
	d := newDesk(t)
	_, err := d.client.Enroll(t.Context(), Enrolment{Key: "abc123", Name: "mybox", Tags: []string{"a", "b"}, Overwrite: true})
	must(t, err)
	want := `{"attachment_key":"abc123","name":"mybox","tags":["a","b"],"overwrite":true,"autoenroll":false}`
	if got := d.server.Enrolled(); len(got) != 1 || string(got[0]) != want {
		t.Errorf("got %s", got)
	}
	if _, err := d.client.Enroll(t.Context(), Enrolment{Name: "x"}); err == nil {
		t.Error("without a key")
	}
}
