package decisions_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

func TestSimulated(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    decisions.Simulation
		want string // of the scenarios a and b those that simulate
	}{
		{"nothing said", decisions.Simulation{}, ""},
		{"all", decisions.Simulation{On: true}, "ab"},
		{"all but one", decisions.Simulation{On: true, Exclusions: []string{"a"}}, "b"},
		{"only one", decisions.Simulation{Exclusions: []string{"b", "c"}}, "b"},
		{"said twice is said once", decisions.Simulation{Exclusions: []string{"b", "b"}}, "b"},
		{"names are whole", decisions.Simulation{Exclusions: []string{"a/x", "A"}}, ""},
	} {
		got := ""
		for _, name := range []string{"a", "b"} {
			if tc.s.Simulated(name) {
				got += name
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q simulate, want %q", tc.name, got, tc.want)
		}
	}
}

func TestReadSimulation(t *testing.T) {
	for _, tc := range []struct {
		name, main, local string
		want              decisions.Simulation
		wantErr           string
	}{
		{"on", "simulation: true", "", decisions.Simulation{On: true}, ""},
		{"the word off", "simulation: off\nexclusions:\n  - crowdsecurity/ssh-bf", "", decisions.Simulation{Exclusions: []string{"crowdsecurity/ssh-bf"}}, ""},
		{"the word on", "simulation: on", "", decisions.Simulation{On: true}, ""},
		{"nothing in it", "# nothing", "", decisions.Simulation{}, ""},
		{"null", "simulation:\nexclusions:", "", decisions.Simulation{}, ""},
		{"the own file replaces what it has", "simulation: true\nexclusions: [a, b]", "exclusions: [c]", decisions.Simulation{On: true, Exclusions: []string{"c"}}, ""},
		{"and only that", "simulation: true\nexclusions: [a]", "simulation: false", decisions.Simulation{Exclusions: []string{"a"}}, ""},
		{"an empty list replaces", "exclusions: [a]", "exclusions: []", decisions.Simulation{}, ""},
		{"unknown key", "simulation: true\nexclude: [a]", "", decisions.Simulation{}, `simulation.yaml:2: unknown key "exclude"`},
		{"unknown key of the own file", "simulation: true", "\nexclude: [a]", decisions.Simulation{}, `simulation.yaml.local:2: unknown key "exclude"`},
		{"no truth value", "simulation: maybe", "", decisions.Simulation{}, "simulation.yaml:1: a text does not fit here"},
		{"no list", "exclusions: a", "", decisions.Simulation{}, "simulation.yaml:1: a text does not fit here: a list is expected"},
		{"a name that is none", "exclusions:\n  - a\n  - ''", "", decisions.Simulation{}, "simulation.yaml:3: exclusions: name of a scenario is missing"},
		{"two documents", "simulation: true\n---\nsimulation: false", "", decisions.Simulation{}, "document 2: one document is expected"},
		{"not yaml", "[a", "", decisions.Simulation{}, "simulation.yaml:1: "},
		{"no file", "", "", decisions.Simulation{}, "reading simulation: open"},
		{"too long", strings.Repeat("#", 2<<20), "", decisions.Simulation{}, "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "simulation.yaml")
			if tc.main != "" {
				must(t, os.WriteFile(path, []byte(tc.main), 0o600))
			}
			if tc.local != "" {
				must(t, os.WriteFile(path+".local", []byte(tc.local), 0o600))
			}
			got, err := decisions.ReadSimulation(path)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			must(t, err)
			if d := cmp.Diff(&tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
