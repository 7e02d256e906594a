package scenarios_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// start is when the scripts in testdata begin.
var start = time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC)

// responseSide are the fields that a live request has only after its response.
var responseSide = map[string]bool{
	"Meta.http_status": true, "Meta.sub_type": true, "Parsed.impact_completion": true,
	"Parsed.status": true, "Parsed.body_bytes_sent": true,
}

func loadBuiltin(t testing.TB, names ...string) []*scenarios.Scenario {
	t.Helper()
	env := expression.New(expression.Options{})
	var list []*scenarios.Scenario
	for _, name := range names {
		data, err := fs.ReadFile(scenarios.Builtin(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := scenarios.Load(scenarios.Item{Path: name, Data: data, Version: "1.0"}, env)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, got...)
	}
	return list
}

func builtinNames(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := fs.Glob(scenarios.Builtin(), pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no built-in scenarios match %s: %v", pattern, err)
	}
	return names
}

// TestBuiltin runs the scripts in testdata, one for each file of ours. A script
// lists scenario files; then each case has events and the overflows that they make.
//
//	T+0 ip=192.0.2.1 verb=GET path=/x status=404
//	T+1 x20 every=0.5 ip=192.0.2.1 path=/page-{n} status=200
func TestBuiltin(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/*.txtar")
	covered := map[string]bool{}
	for _, script := range scripts {
		ar, err := txtar.ParseFile(script)
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		events, want := map[string]string{}, map[string]string{}
		var order []string
		for _, f := range ar.Files {
			kind, name, _ := strings.Cut(f.Name, ": ")
			switch kind {
			case "scenarios":
				files = strings.Fields(string(f.Data))
			case "events":
				order = append(order, name)
				events[name] = string(f.Data)
			case "want":
				want[name] = string(f.Data)
			default:
				t.Errorf("%s: unknown section %q", script, f.Name)
			}
		}
		list := loadBuiltin(t, files...)
		for _, f := range files {
			covered[f] = true
		}
		for _, name := range order {
			t.Run(path.Base(script)+"/"+name, func(t *testing.T) {
				expected, ok := want[name]
				if !ok {
					t.Fatalf("case has no section %q", "want: "+name)
				}
				got := play(t, list, events[name])
				if d := cmp.Diff(clean(expected), got); d != "" {
					t.Errorf("overflows (-want +got):\n%s", d)
				}
			})
		}
	}
	for _, name := range builtinNames(t, "*/*.yaml") {
		if !covered[name] {
			t.Errorf("%s has no script in testdata", name)
		}
	}
}

func clean(text string) []string {
	out := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// play pours the events of a case and lists the overflows.
func play(t *testing.T, list []*scenarios.Scenario, script string) []string {
	t.Helper()
	got := []string{}
	var now time.Time
	m := scenarios.NewMemory(scenarios.MemoryOptions{
		Now: func() time.Time { return now },
		Overflow: func(o *scenarios.Overflow) {
			ev, err := o.Event()
			if err != nil {
				t.Errorf("making the alert: %v", err)
				return
			}
			got = append(got, fmt.Sprintf("T+%g %s %s events=%d",
				o.At.Sub(start).Seconds(), o.Scenario.Name, strings.Join(ev.Overflow.GetSources(), ","), o.Count))
		},
	})
	rules := scenarios.NewRules(list).WithRequestPhase(responseSide)
	m.Use(rules)
	in := bufio.NewScanner(strings.NewReader(script))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		times, build, err := parseEvents(line)
		if err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		for i, at := range times {
			now = at
			ev := build(i, at)
			m.Pour(rules.Drops(ev, scenarios.Request, at, nil))
			m.Pour(rules.Drops(ev, scenarios.Response, at, nil))
		}
	}
	if f := rules.Failures(); len(f) > 0 {
		t.Errorf("a filter failed: %v: %v", f[0].Scenario.Name, f[0].Last)
	}
	return got
}

// parseEvents reads one line of a script.
func parseEvents(line string) ([]time.Time, func(int, time.Time) *event.Event, error) {
	words := strings.Fields(line)
	first, err := strconv.ParseFloat(strings.TrimPrefix(words[0], "T+"), 64)
	if err != nil {
		return nil, nil, err
	}
	n, gap := 1, 0.0
	fields := map[string]string{"ip": "192.0.2.1", "verb": "GET", "status": "200", "ua": "Mozilla/5.0", "host": "example.com"}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case !ok && strings.HasPrefix(w, "x"):
			n, err = strconv.Atoi(w[1:])
		case !ok:
			err = fmt.Errorf("%q is neither xN nor key=value", w)
		case key == "every":
			gap, err = strconv.ParseFloat(value, 64)
		default:
			fields[key] = strings.ReplaceAll(value, "_", " ")
			if key != "ua" {
				fields[key] = value
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var times []time.Time
	for i := range n {
		times = append(times, start.Add(time.Duration((first+float64(i)*gap)*1e9)))
	}
	return times, func(i int, at time.Time) *event.Event {
		f := map[string]string{}
		for k, v := range fields {
			f[k] = strings.ReplaceAll(v, "{n}", strconv.Itoa(i))
		}
		if f["user"] != "" {
			return sshEvent(f, at)
		}
		if f["captcha"] != "" {
			return challengeEvent(f, at)
		}
		return httpEvent(f, at)
	}, nil
}

func sshEvent(f map[string]string, at time.Time) *event.Event {
	return &event.Event{Time: at, Meta: map[string]string{
		"service": "ssh", "log_type": "ssh_failed-auth", "source_ip": f["ip"], "target_user": f["user"],
	}}
}

// challengeEvent tells how a challenge went.
func challengeEvent(f map[string]string, at time.Time) *event.Event {
	return &event.Event{Time: at, Meta: map[string]string{
		"service": "http", "log_type": "rampart_captcha", "source_ip": f["ip"],
		"captcha_result": strings.ReplaceAll(f["captcha"], "-", "_"),
	}}
}

// httpEvent has the fields of a live request.
func httpEvent(f map[string]string, at time.Time) *event.Event {
	request, args, _ := strings.Cut(f["path"], "?")
	file := path.Base(request)
	ext := path.Ext(file)
	static := "false"
	switch ext {
	case ".png", ".jpg", ".gif", ".css", ".js", ".ico", ".svg", ".woff2":
		static = "true"
	}
	ev := &event.Event{Time: at,
		Meta: map[string]string{
			"service": "http", "log_type": "http_access-log", "source_ip": f["ip"], "http_status": f["status"],
			"http_path": f["path"], "http_verb": f["verb"], "http_user_agent": f["ua"], "target_fqdn": f["host"],
		},
		Parsed: map[string]string{
			"request": request, "http_args": args, "static_ressource": static, "file_name": file, "file_ext": ext,
			"verb": f["verb"], "status": f["status"],
		},
	}
	if f["sub_type"] != "" {
		ev.Meta["sub_type"] = f["sub_type"]
	}
	return ev
}

// TestBuiltinLabels checks what every scenario of ours must say about itself.
func TestBuiltinLabels(t *testing.T) {
	for _, s := range loadBuiltin(t, builtinNames(t, "*/*.yaml")...) {
		if !strings.HasPrefix(s.Name, "rampart/") {
			t.Errorf("%s: name does not begin with rampart/", s.Name)
		}
		for _, key := range []string{"service", "behavior", "label", "confidence", "spoofable", "remediation", "classification"} {
			if s.Labels[key] == nil {
				t.Errorf("%s: label %s is missing", s.Name, key)
			}
		}
		if s.Description == "" || !s.Remediation || s.Capacity < 2 {
			t.Errorf("%s: description %q, remediation %v, capacity %d", s.Name, s.Description, s.Remediation, s.Capacity)
		}
		if len(s.Hash) != 64 || s.Version != "1.0" {
			t.Errorf("%s: hash %q, version %q", s.Name, s.Hash, s.Version)
		}
	}
}

// TestBuiltinRequestPhase pins which scenarios can refuse the request itself.
func TestBuiltinRequestPhase(t *testing.T) {
	names := append(builtinNames(t, "http/*.yaml"), builtinNames(t, "wordpress/*.yaml")...)
	rules := scenarios.NewRules(loadBuiltin(t, names...)).WithRequestPhase(responseSide)
	var got []string
	for _, s := range rules.RequestPhase() {
		got = append(got, strings.TrimPrefix(s.Name, "rampart/"))
	}
	want := []string{
		"http-bad-user-agent", "captcha-guessing", "captcha-ignored", "http-crawl", "http-flood", "http-flood-any", "http-path-traversal",
		"http-sensitive-files", "http-sqli-probing", "http-xss-probing",
		"wordpress-author-enumeration", "wordpress-xmlrpc",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
