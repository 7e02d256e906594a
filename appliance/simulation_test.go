package appliance

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/decisions"
)

// TestSimulatedSites: what was only for sites that simulate refuses nobody, and a
// last request to one does not make an attack on another harmless.
func TestSimulatedSites(t *testing.T) {
	a := open(t, Config{Simulation: SimulationConfig{Except: []string{"host:Beta.example"}}})
	probe := func(client, host string, n int) Action {
		t.Helper()
		r := request(fmt.Sprintf("/.env.%d", n))
		r.Host = host
		v := a.Begin(r, from(client))
		if v.Action == Pass {
			v.End(404, 0, nil)
		}
		return v.Action
	}
	for i := range 10 {
		if got := probe("203.0.113.7", "beta.example:8443", i); got != Pass {
			t.Fatalf("request %d: %s", i+1, got)
		}
	}
	alerts := a.live.Load().state.book.Alerts(decisions.AlertFilter{})
	if len(alerts) == 0 {
		t.Fatal("there is no alert")
	}
	for _, al := range alerts {
		if !al.Simulated || len(al.Decisions) == 0 || !al.Decisions[0].Simulated {
			t.Errorf("alert %+v", al)
		}
	}
	for i := range 3 {
		probe("203.0.113.8", "shop.example", i)
	}
	if got := probe("203.0.113.8", "beta.example", 3); got != Respond {
		t.Errorf("the last request was for another site: %s", got)
	}
}

// TestSimulatedList: by configuration, and by an operator's choice, while it is in force.
func TestSimulatedList(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir, Simulation: SimulationConfig{Except: []string{"list:bad"}}})
	ask[ListAnswer](t, a, "PUT", "/rampart/lists/bad", "203.0.113.7\n")
	ask[ListAnswer](t, a, "PUT", "/rampart/lists/worse", "203.0.113.8\n")
	check := func(when string, want map[string]Action) {
		t.Helper()
		for client, want := range want {
			if v := visit(a, from(client), "/", 200); v.Action != want {
				t.Errorf("%s: %s: %s, want %s", when, client, v.Action, want)
			}
		}
	}
	check("as configured", map[string]Action{"203.0.113.7": Pass, "203.0.113.8": Refuse})
	if ds := ask[[]decisions.Decision](t, a, "GET", "/rampart/decisions?origin=lists:bad", nil); len(ds) != 1 || !ds[0].Simulated {
		t.Errorf("%+v", ds)
	}
	l := a.live.Load()
	for selector, on := range map[string]bool{"list:bad": false, "list:worse": true} {
		if err := l.state.simulation.Set(selector, on, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	l.state.simulateLists(l.settings)
	check("as chosen", map[string]Action{"203.0.113.7": Refuse, "203.0.113.8": Pass})
	if v := a.Decide(netip.MustParseAddr("203.0.113.8")); v.Action != decisions.None {
		t.Errorf("%+v", v)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a = open(t, Config{DataDir: dir, Simulation: SimulationConfig{Except: []string{"list:bad"}}})
	check("after a restart", map[string]Action{"203.0.113.7": Refuse, "203.0.113.8": Pass})
}

func TestSimulationSelectors(t *testing.T) {
	_, err := Compile(Config{Simulation: SimulationConfig{Except: []string{"list:a/b", "host:", "crowdsecurity/ssh-bf"}}}, nil)
	if err == nil || !strings.Contains(err.Error(), `list name "a/b"`) || !strings.Contains(err.Error(), "site") {
		t.Errorf("got %v", err)
	}
}
