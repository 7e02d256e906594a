package appliance

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// gather reads all metrics through a registry of its own, which checks them, as
// "name{values}".
func gather(t testing.TB, a *Appliance) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range a.Collectors() {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName() + "{"
			for _, l := range m.GetLabel() {
				if l.GetName() != "node" {
					name += l.GetValue() + " "
				} else if l.GetValue() != a.node {
					t.Errorf("%s is of node %s", name, l.GetValue())
				}
			}
			out[name+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	// Two sources of one name, which differ in their labels alone.
	source := SourceConfig{Type: "file", Paths: []string{dir + "/*.log"}}
	labelled := source
	labelled.Labels = map[string]string{"type": "syslog", "site": "b"}
	a := open(t, Config{DataDir: dir, Sources: []SourceConfig{source, labelled}})
	visit(a, from("192.0.2.7"), "/", 200)
	for _, q := range []DecisionRequest{{Value: "192.0.2.7"}, {Value: "192.0.2.8", Type: "captcha"}, {Value: "192.0.2.9", Type: "throttle"}} {
		ask[DecisionAnswer](t, a, "POST", "/rampart/decisions", q)
		visit(a, from(q.Value), "/", 200)
	}
	until(t, "the request is examined", func() bool { return gather(t, a)["rampart_events_total{examined http }"] == 1 })
	check := func(when string) {
		t.Helper()
		got := gather(t, a)
		for name, want := range map[string]float64{
			"rampart_requests_total{pass }": 1, "rampart_requests_total{ban }": 1, "rampart_requests_total{captcha }": 1,
			"rampart_requests_total{throttle }": 1, "rampart_decisions{ban }": 1, "rampart_decisions{captcha }": 1,
			"rampart_decisions{throttle }": 1, "rampart_source_lines_total{" + dir + "/*.log }": 0,
		} {
			if n, ok := got[name]; !ok || n != want {
				t.Errorf("%s: %s is %v (there: %v), want %v", when, name, n, ok, want)
			}
		}
	}
	check("at first")
	s, err := Compile(Config{DataDir: dir, Contact: "other", Sources: []SourceConfig{source, labelled}, Captcha: CaptchaConfig{Digits: 5}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	release, err := a.Use(s)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	check("with other settings and another registry")
}

// TestMetricsBeforeAndAfter: there is nothing to tell, and it is told properly.
func TestMetricsBeforeAndAfter(t *testing.T) {
	a := New(Options{Node: "test"})
	if got := gather(t, a); got["rampart_requests_total{ban }"] != 0 || len(got) == 0 {
		t.Errorf("%v", got)
	}
}
