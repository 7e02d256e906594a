package localapi

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/decisions"
)

// document is what the test needs of an OpenAPI document.
type document struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Ref string `yaml:"$ref"`
		}
		Responses map[string]any
	}
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Schemas    struct {
			Decision struct {
				Required   []string
				Properties map[string]any
			} `yaml:"Decision"`
		}
	}
}

func readDocument(t *testing.T) document {
	t.Helper()
	data, err := os.ReadFile("../docs/lapi.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// parameters are the names of those of a route.
func (d *document) parameters(t *testing.T, path string) []string {
	t.Helper()
	var names []string
	for _, p := range d.Paths[path]["get"].Parameters {
		name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
		if got := d.Components.Parameters[name]; got.Name != name || got.In != "query" {
			t.Errorf("%s: %s is %+v", path, p.Ref, got)
		}
		names = append(names, name)
	}
	return names
}

// TestDocument: what the document says there is, and the other way round.
func TestDocument(t *testing.T) {
	d := readDocument(t)
	known := map[string]bool{}
	for _, r := range routes() {
		known[strings.ToLower(r.method)+" "+r.pattern] = true
		if _, told := d.Paths[r.pattern][strings.ToLower(r.method)]; strings.HasPrefix(r.pattern, "/rampart/") && !told {
			t.Errorf("%s %s is not in the document", r.method, r.pattern)
		}
	}
	for path, methods := range d.Paths {
		for method, m := range methods {
			if !known[method+" "+path] {
				t.Errorf("%s %s is in the document alone", method, path)
			}
			for status := range m.Responses {
				if !slices.Contains([]string{"200", "400", "403", "503"}, status) {
					t.Errorf("%s %s: status %s", method, path, status)
				}
			}
		}
	}
	if len(d.Paths) != 2 {
		t.Errorf("%d paths", len(d.Paths))
	}
	// Every parameter has an effect.
	effects := map[string]func(url.Values) any{}
	selected := func(v url.Values) any {
		sel, err := readStream(v)
		if err != nil {
			return err.Error()
		}
		return []any{sel.Query, sel.narrow, sel.every}
	}
	for name := range d.Components.Parameters {
		effects[name] = selected
	}
	effects["wait"] = func(v url.Values) any { wait, _ := readWait(v); return wait }
	effects["startup"] = func(v url.Values) any {
		c := call{bouncer: &Bouncer{Cursors: map[string]Cursor{"": {Epoch: "e"}}}}
		return c.cursor(v)
	}
	values := map[string]string{"wait": "7", "startup": "true", "dedup": "false", "contains": "false", "ip": "192.0.2.1", "range": "192.0.2.0/24"}
	for name, effect := range effects {
		value := values[name]
		if value == "" {
			value = "something"
		}
		if text(effect(url.Values{})) == text(effect(url.Values{name: {value}})) {
			t.Errorf("parameter %s does nothing", name)
		}
	}
	for path := range d.Paths {
		names := d.parameters(t, path)
		want := len(d.Components.Parameters)
		if path == eventsPath {
			want-- // there is nothing to wait for
		}
		if len(names) != want || slices.Contains(names, "wait") != (path != eventsPath) {
			t.Errorf("%s has %v", path, names)
		}
	}
}

// TestDocumentedDecision: decisions have the documented keys.
func TestDocumentedDecision(t *testing.T) {
	d := readDocument(t)
	now := boothStart
	wire := appendDecision(nil, &decisions.Decision{ID: 1, UUID: "u", Scope: "Ip", Value: "192.0.2.1", Type: "ban", Origin: "cscli",
		Scenario: "s", Until: now.Add(time.Hour)}, time.Hour, formNew)
	var got map[string]any
	if err := json.Unmarshal(wire, &got); err != nil {
		t.Fatal(err)
	}
	for key := range got {
		if _, told := d.Components.Schemas.Decision.Properties[key]; !told {
			t.Errorf("%s is not documented", key)
		}
	}
	if len(got) != len(d.Components.Schemas.Decision.Properties) {
		t.Errorf("has %d keys, documented are %d", len(got), len(d.Components.Schemas.Decision.Properties))
	}
	for _, key := range d.Components.Schemas.Decision.Required {
		if got[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
}
