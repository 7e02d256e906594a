package appliance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// document is docs/openapi.yaml, as far as the tests need it.
type document struct {
	t    *testing.T
	root map[string]any
}

func openDocument(t *testing.T) document {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := document{t: t}
	if err := yaml.Unmarshal(data, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a path of keys; what is not there ends the test.
func (d document) at(from any, keys ...string) any {
	d.t.Helper()
	for _, k := range keys {
		m, ok := from.(map[string]any)
		if !ok || m[k] == nil {
			d.t.Fatalf("no %q in %v", k, keys)
		}
		from = d.resolved(m[k])
	}
	return from
}

// resolved is what a reference stands for.
func (d document) resolved(v any) any {
	d.t.Helper()
	m, ok := v.(map[string]any)
	if !ok || m["$ref"] == nil {
		return v
	}
	path, ok := strings.CutPrefix(m["$ref"].(string), "#/")
	if !ok {
		d.t.Fatalf("reference %v leads elsewhere", m["$ref"])
	}
	return d.at(d.root, strings.Split(path, "/")...)
}

// check reports where v is not what schema says: type, keys, words and formats.
func (d document) check(schema, v any, where string) []string {
	s, ok := d.resolved(schema).(map[string]any)
	if !ok {
		return []string{where + ": no schema"}
	}
	if list, ok := s["oneOf"].([]any); ok {
		fits := 0
		for _, one := range list {
			if len(d.check(one, v, where)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			return []string{fmt.Sprintf("%s: fits %d of %d schemas: %v", where, fits, len(list), v)}
		}
		return nil
	}
	if list, ok := s["enum"].([]any); ok && !slices.Contains(list, v) {
		return []string{fmt.Sprintf("%s: %v is not one of %v", where, v, list)}
	}
	bad := func(want string) []string { return []string{fmt.Sprintf("%s: %T %v, want %s", where, v, v, want)} }
	switch s["type"] {
	case "object":
		return d.checkObject(s, v, where)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return bad("a list")
		}
		var out []string
		for i, e := range list {
			out = append(out, d.check(s["items"], e, fmt.Sprintf("%s[%d]", where, i))...)
		}
		return out
	case "string":
		text, ok := v.(string)
		if _, err := time.Parse(time.RFC3339Nano, text); !ok || s["format"] == "date-time" && err != nil {
			return bad(fmt.Sprint("a text ", s["format"]))
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return bad("true or false")
		}
	case "integer":
		_, whole := v.(int) // of an example in YAML
		if n, ok := v.(float64); !whole && (!ok || n != float64(int64(n))) {
			return bad("a whole number")
		}
	case "number":
		if _, ok := v.(float64); !ok {
			return bad("a number")
		}
	case "null":
		if v != nil {
			return bad("nothing")
		}
	default:
		return bad(fmt.Sprintf("a type that the test knows, not %v", s["type"]))
	}
	return nil
}

func (d document) checkObject(s map[string]any, v any, where string) []string {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %T, want an object", where, v)}
	}
	var out []string
	required, _ := s["required"].([]any)
	for _, k := range required {
		if _, ok := m[k.(string)]; !ok {
			out = append(out, fmt.Sprintf("%s: no %s", where, k))
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for k, e := range m {
		schema := properties[k]
		if schema == nil {
			schema = s["additionalProperties"]
		}
		if schema == nil || schema == false {
			out = append(out, fmt.Sprintf("%s: %s is not in the document", where, k))
			continue
		}
		out = append(out, d.check(schema, e, where+"."+k)...)
	}
	return out
}

// TestOpenAPIRoutes: the document has the routes of the node with their parameters, all
// and only those.
func TestOpenAPIRoutes(t *testing.T) {
	d := openDocument(t)
	var documented, served []string
	for path, item := range d.at(d.root, "paths").(map[string]any) {
		for method := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for pattern, way := range routes() {
		pattern = strings.Replace(pattern, "...}", "}", 1)
		served = append(served, pattern)
		if got := d.queried(pattern); !slices.Equal(got, slices.Sorted(slices.Values(way.params))) {
			t.Errorf("%s: the document has the parameters %q, the node %q", pattern, got, way.params)
		}
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("the document has %q, the node %q", documented, served)
	}
	if d.at(d.root, "openapi") != "3.1.0" {
		t.Error("no OpenAPI 3.1")
	}
}

// queried are the parameters that the address of a route may have, sorted.
func (d document) queried(route string) (names []string) {
	method, path, _ := strings.Cut(route, " ")
	item := d.at(d.root, "paths", path, strings.ToLower(method)).(map[string]any)
	list, _ := item["parameters"].([]any)
	for _, p := range list {
		if p := d.resolved(p).(map[string]any); p["in"] == "query" {
			names = append(names, p["name"].(string))
		}
	}
	slices.Sort(names)
	return names
}

// TestOpenAPISchemas: each has the fields of its type, and requires those that are
// always there.
func TestOpenAPISchemas(t *testing.T) {
	d := openDocument(t)
	all := d.at(d.root, "components", "schemas").(map[string]any)
	for name, typ := range schemaTypes() {
		s := d.at(all, name).(map[string]any)
		var fields, always, listed, required []string
		for _, f := range reflect.VisibleFields(typ) {
			tag, ok := f.Tag.Lookup("json")
			if !ok && f.IsExported() && !f.Anonymous {
				t.Errorf("%s.%s has no JSON name", name, f.Name)
			}
			field, options, _ := strings.Cut(tag, ",")
			if !ok || field == "-" {
				continue
			}
			fields = append(fields, field)
			if options == "" {
				always = append(always, field)
			}
		}
		listed = slices.Collect(maps.Keys(s["properties"].(map[string]any)))
		list, _ := s["required"].([]any)
		for _, k := range list {
			required = append(required, k.(string))
		}
		for _, l := range [][]string{fields, always, listed, required} {
			slices.Sort(l)
		}
		if !slices.Equal(fields, listed) || !slices.Equal(always, required) {
			t.Errorf("%s has %q (always %q), the document %q (%q)", name, fields, always, listed, required)
		}
	}
	for name := range all {
		if _, ok := schemaTypes()[name]; !ok && name != "Error" && name != "AllowDeleted" {
			t.Errorf("schema %s is of no type", name)
		}
	}
}

// TestOpenAPIAnswers: what a node with something to tell answers is what the
// document says, errors included, and so are the document's own examples.
func TestOpenAPIAnswers(t *testing.T) {
	d := openDocument(t)
	f := folder{t, t.TempDir()}
	a := open(t, Config{DataDir: f.dir, Firewall: FirewallConfig{Mode: FirewallDryRun},
		Sources: []SourceConfig{{Type: "file", Paths: []string{f.dir + "/*.log"}}}})
	refused := scan(t, a, "192.0.2.7")
	for _, c := range []struct {
		method, path, at string
		body             any
	}{
		{"POST", "/rampart/decisions", "", DecisionRequest{Value: "192.0.2.8", Reason: "x"}},
		{"POST", "/rampart/decisions", "", DecisionRequest{Value: "127.0.0.1"}},
		{"POST", "/rampart/decisions", "", DecisionRequest{Value: "nobody"}},
		{"POST", "/rampart/allowlist", "", AllowRequest{Value: "192.0.2.9", Duration: "1d", Comment: "x"}},
		{"POST", "/rampart/allowlist", "", "{"},
		{"GET", "/rampart/status", "", nil},
		{"GET", "/rampart/decisions", "", nil},
		{"GET", "/rampart/decisions?all=true", "", nil},
		{"GET", "/rampart/decisions?id=x", "", nil},
		{"GET", "/rampart/alerts", "", nil},
		{"GET", "/rampart/alerts?limit=x", "", nil},
		{"GET", "/rampart/alerts/1", "/rampart/alerts/{id}", nil},
		{"GET", "/rampart/alerts/x", "/rampart/alerts/{id}", nil},
		{"GET", "/rampart/alerts/99", "/rampart/alerts/{id}", nil},
		{"GET", "/rampart/why/192.0.2.7", "/rampart/why/{subject}", nil},
		{"GET", "/rampart/why/192.0.2.9", "/rampart/why/{subject}", nil},
		{"GET", "/rampart/why/192.0.2.0/24", "/rampart/why/{subject}", nil},
		{"GET", "/rampart/why/" + refused.Incident, "/rampart/why/{subject}", nil},
		{"GET", "/rampart/why/x", "/rampart/why/{subject}", nil},
		{"GET", "/rampart/allowlist", "", nil},
		{"DELETE", "/rampart/allowlist?value=192.0.2.9", "", nil},
		{"DELETE", "/rampart/allowlist?value=192.0.2.9", "", nil},
		{"DELETE", "/rampart/allowlist?value=::1", "", nil},
		{"PUT", "/rampart/lists/one?duration=1d", "/rampart/lists/{name}", "192.0.2.7\n198.51.100.0/24 # x\nx\n"},
		{"PUT", "/rampart/lists/two", "/rampart/lists/{name}", "192.0.2.7"},
		{"PUT", "/rampart/lists/-", "/rampart/lists/{name}", "192.0.2.7"},
		{"GET", "/rampart/lists", "", nil},
		{"GET", "/rampart/lists/one", "/rampart/lists/{name}", nil},
		{"GET", "/rampart/lists/one?limit=x", "/rampart/lists/{name}", nil},
		{"GET", "/rampart/lists/none", "/rampart/lists/{name}", nil},
		{"GET", "/rampart/decisions?origin=lists:one", "", nil},
		{"GET", "/rampart/why/198.51.100.7", "/rampart/why/{subject}", nil},
		{"DELETE", "/rampart/lists/two", "/rampart/lists/{name}", nil},
		{"DELETE", "/rampart/lists/two", "/rampart/lists/{name}", nil},
		{"POST", "/rampart/unban", "", map[string]string{"value": "192.0.2.7"}},
		{"GET", "/rampart/why/" + refused.Incident, "/rampart/why/{subject}", nil},
		{"DELETE", "/rampart/decisions?all=true", "", nil},
		{"DELETE", "/rampart/decisions", "", nil},
	} {
		if c.at == "" {
			c.at, _, _ = strings.Cut(c.path, "?")
		}
		status, data := call(t, a, c.method, c.path, c.body)
		d.answer(c.method, c.path, c.at, status, data)
	}
	idle := New(Options{})
	for pattern := range routes() {
		method, path, _ := strings.Cut(pattern, " ")
		status, data := call(t, idle, method, path, nil)
		d.answer(method, path, strings.Replace(path, "...}", "}", 1), status, data)
		if status != http.StatusServiceUnavailable {
			t.Errorf("%s of a node that does not run: %d", pattern, status)
		}
	}
	d.examples(d.root, "document")
}

// answer checks one answer against the document.
func (d document) answer(method, path, at string, status int, data []byte) {
	d.t.Helper()
	response := d.at(d.root, "paths", at, strings.ToLower(method), "responses", fmt.Sprint(status))
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		d.t.Errorf("%s %s: %v", method, path, err)
	}
	for _, bad := range d.check(d.at(response, "content", "application/json", "schema"), v, fmt.Sprint(status)) {
		d.t.Errorf("%s %s: %s", method, path, bad)
	}
}

// examples checks every example that stands beside a schema.
func (d document) examples(v any, where string) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	if m["example"] != nil && m["schema"] != nil {
		for _, bad := range d.check(m["schema"], m["example"], where) {
			d.t.Errorf("example: %s", bad)
		}
	}
	for k, e := range m {
		d.examples(e, where+"."+k)
		if list, ok := e.([]any); ok {
			for _, one := range list {
				d.examples(one, where+"."+k)
			}
		}
	}
}

// TestOpenAPICheck: the check itself can fail.
func TestOpenAPICheck(t *testing.T) {
	d := openDocument(t)
	decision := map[string]any{"$ref": "#/components/schemas/Decision"}
	good := func() map[string]any {
		return map[string]any{"id": 1.0, "uuid": "u", "scope": "Ip", "value": "192.0.2.7", "type": "ban", "origin": "o", "scenario": "s",
			"created": "2026-04-10T14:30:00Z", "until": "2026-04-10T18:30:00Z"}
	}
	if bad := d.check(decision, good(), "x"); len(bad) != 0 {
		t.Errorf("%q", bad)
	}
	for name, spoil := range map[string]func(m map[string]any){
		"a missing key": func(m map[string]any) { delete(m, "uuid") }, "an unknown key": func(m map[string]any) { m["x"] = 1.0 },
		"a wrong type": func(m map[string]any) { m["id"] = "1" }, "a wrong time": func(m map[string]any) { m["until"] = "tomorrow" },
		"a fraction": func(m map[string]any) { m["id"] = 1.5 }, "nothing": func(m map[string]any) { m["value"] = nil },
	} {
		m := good()
		spoil(m)
		if bad := d.check(decision, m, "x"); len(bad) == 0 {
			t.Errorf("%s is not noticed", name)
		}
	}
	if bad := d.check(map[string]any{"type": "array", "items": decision}, []any{good(), 1.0}, "x"); len(bad) != 1 {
		t.Errorf("%q", bad)
	}
	if bad := d.check(map[string]any{"$ref": "#/components/schemas/Refusal"}, map[string]any{"action": "shrug"}, "x"); len(bad) < 2 {
		t.Errorf("%q", bad)
	}
}
