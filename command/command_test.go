package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is when all tests take place.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// exchange is one request to the node and its answer.
type exchange struct {
	method, path, body string       // as asked
	status             int          // of the answer; 0: 200
	answer             any          // encoded as JSON, or text as it is
	err                error        // instead of an answer
	node               http.Handler // answers all instead, if there is one
}

// run executes a command against a node that gives one answer, and returns what it
// printed. The exchange tells afterwards what was asked.
func run(t *testing.T, x *exchange, args ...string) (string, error) {
	t.Helper()
	clock := func() time.Time { return now }
	if x.node != nil {
		clock = time.Now
	}
	request := func(_ context.Context, _ Endpoint, method, path string, body io.Reader) (*http.Response, error) {
		if x.node != nil {
			w := httptest.NewRecorder()
			x.node.ServeHTTP(w, httptest.NewRequest(method, path, body))
			return w.Result(), nil
		}
		if method == http.MethodGet && path == "/rampart/lists" { // asked beside what is tested; a node without lists
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("[]"))}, nil
		}
		x.method, x.path = method, path
		if body != nil {
			b, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			x.body = string(b)
		}
		if x.err != nil {
			return nil, x.err
		}
		b, ok := x.answer.(string)
		if !ok {
			enc, err := json.Marshal(x.answer)
			if err != nil {
				t.Fatal(err)
			}
			b = string(enc)
		}
		return &http.Response{StatusCode: max(x.status, 200), Body: io.NopCloser(strings.NewReader(b))}, nil
	}
	root := &cobra.Command{Use: "rampart", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands(Options{Request: request, Now: clock})...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// golden compares text with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (- golden, + printed; -update writes it anew):\n%s", name, diff)
	}
}

// TestRequests: what each command asks the node.
func TestRequests(t *testing.T) {
	for _, c := range []struct {
		args               string
		method, path, body string
	}{
		{"status", "GET", "/rampart/status", ""},
		{"decisions list", "GET", "/rampart/decisions?limit=101", ""},
		{"decisions list -o json", "GET", "/rampart/decisions", ""},
		{"decisions list -l 0 -r 192.0.2.0/24 --contained --since 1h --no-simu", "GET", "/rampart/decisions?contained=true&range=192.0.2.0%2F24&simulated=false&since=1h", ""},
		{"decisions list --all --ip 192.0.2.7 --type ban", "GET", "/rampart/decisions?all=true&ip=192.0.2.7&limit=101&type=ban", ""},
		{"decision list --scenario a&b", "GET", "/rampart/decisions?limit=101&scenario=a%26b", ""},
		{"decisions add 192.0.2.7", "POST", "/rampart/decisions", `{"value":"192.0.2.7","type":"ban","duration":"4h","unless_allowed":true}`},
		{"decisions add -r 192.0.2.0/24 -B", "POST", "/rampart/decisions", `{"value":"192.0.2.0/24","type":"ban","duration":"4h"}`},
		{"decisions add --value bob --scope user -t captcha -d 1d -R why", "POST", "/rampart/decisions",
			`{"value":"bob","scope":"user","type":"captcha","duration":"1d","reason":"why","unless_allowed":true}`},
		{"decisions delete --id 7", "DELETE", "/rampart/decisions?id=7", ""},
		{"decisions delete --all", "DELETE", "/rampart/decisions?all=true", ""},
		{"unban 2001:db8::/48", "POST", "/rampart/unban", `{"value":"2001:db8::/48"}`},
		{"alerts list", "GET", "/rampart/alerts?limit=50&lists=false", ""},
		{"alerts list --since 2d --value 192.0.2.7 -l 3", "GET", "/rampart/alerts?limit=3&lists=false&since=2d&value=192.0.2.7", ""},
		{"alerts list -a -i 192.0.2.7 --machine m --type ban", "GET", "/rampart/alerts?ip=192.0.2.7&limit=50&machine=m&type=ban", ""},
		{"alerts delete --id 7", "DELETE", "/rampart/alerts/7", ""},
		{"alerts delete --all", "DELETE", "/rampart/alerts?all=true", ""},
		{"alerts delete -s x", "DELETE", "/rampart/alerts?scenario=x", ""},
		{"alerts flush --max-items 7", "POST", "/rampart/alerts/flush", `{"max_items":7,"max_age":"7d"}`},
		{"bouncers add a@b -k secret", "POST", "/rampart/bouncers", `{"name":"a@b","key":"secret"}`},
		{"bouncers delete ../status", "DELETE", "/rampart/bouncers/..%2Fstatus", ""},
		{"bouncers prune -d 30d", "GET", "/rampart/bouncers?unused=30d", ""},
		{"machines add m -p secret --force", "POST", "/rampart/machines", `{"name":"m","password":"secret","force":true}`},
		{"machines add -a", "POST", "/rampart/machines", `{}`},
		{"machines validate a/b", "POST", "/rampart/machines/a%2Fb/validate", ""},
		{"machines prune --not-validated-only", "GET", "/rampart/machines?unused=10m&unvalidated=true", ""},
		{"allowlists create x -d why", "POST", "/rampart/allowlists", `{"name":"x","description":"why"}`},
		{"allowlists add x 192.0.2.7 a.example -e 7d", "POST", "/rampart/allowlists/x/items", `{"items":["192.0.2.7","a.example"],"duration":"7d"}`},
		{"allowlists remove x a b", "DELETE", "/rampart/allowlists/x/items?value=a&value=b", ""},
		{"allowlists check 192.0.2.0/24", "GET", "/rampart/allowed/192.0.2.0/24", ""},
		{"decisions import -i testdata/list.txt -d 1d", "POST", "/rampart/decisions/import",
			`{"from":"list.txt","rows":[{"value":"192.0.2.7","type":"ban","duration":"1d","reason":"manual"}]}`},
		{"decisions export --format values --origin CAPI", "GET", "/rampart/decisions/export?origin=CAPI", ""},
		{"alerts inspect 7", "GET", "/rampart/alerts/7", ""},
		{"alerts inspect ../status", "GET", "/rampart/alerts/..%2Fstatus", ""},
		{"why 192.0.2.7", "GET", "/rampart/why/192.0.2.7", ""},
		{"why 192.0.2.0/24", "GET", "/rampart/why/192.0.2.0/24", ""},
		{"allowlist list", "GET", "/rampart/allowlist", ""},
		{"allowlist add 192.0.2.7 -d 24h --comment office", "POST", "/rampart/allowlist", `{"value":"192.0.2.7","duration":"24h","comment":"office"}`},
		{"lists show x --limit 7", "GET", "/rampart/lists/x?limit=7", ""},
		{"lists show ../status", "GET", "/rampart/lists/..%2Fstatus?limit=20", ""},
		{"lists remove x", "DELETE", "/rampart/lists/x", ""},
		{"lists import x testdata/list.txt --scenario s", "PUT", "/rampart/lists/x?scenario=s", "192.0.2.7\n"},
		{"allowlist delete 192.0.2.0/24", "DELETE", "/rampart/allowlist?value=192.0.2.0%2F24", ""},
	} {
		checkAsked(t, c.args, c.method, c.path, c.body)
	}
}

// checkAsked runs a command and looks at what it asks the node, whose answer is none:
// that it cannot be read is all that may be wrong.
func checkAsked(t *testing.T, args, method, path, body string) {
	t.Helper()
	x := &exchange{answer: "null"}
	if _, err := run(t, x, strings.Fields(args)...); err != nil && !strings.Contains(err.Error(), "reading the node's answer") {
		t.Errorf("%s: %v", args, err)
	}
	if x.method != method || x.path != path || x.body != body {
		t.Errorf("%s asked %s %s %s", args, x.method, x.path, x.body)
	}
}

// TestTrouble: what people read when something is wrong.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		args string
		x    exchange
		want []string
	}{
		{"status", exchange{err: errors.New("no answer from the admin endpoint localhost:2019")},
			[]string{"localhost:2019", "rampart run", "--address", "--config"}},
		{"status", exchange{err: fmt.Errorf("dial: %w", fs.ErrPermission)}, []string{"as the user that the node runs as"}},
		{"status", exchange{status: 404, answer: "404 page not found"}, []string{"no rampart"}},
		{"status", exchange{status: 503, answer: `{"error":"rampart is not running in this process"}`}, []string{"rampart is not running in this process"}},
		{"status", exchange{status: 500, answer: "oh"}, []string{"500 Internal Server Error"}},
		{"status", exchange{answer: "{"}, []string{"reading the node's answer"}},
		{"status -o xml", exchange{}, []string{`"xml"`, "human, json or raw"}},
		{"decisions add", exchange{}, []string{"give an address or a network"}},
		{"decisions add 192.0.2.7 192.0.2.8", exchange{}, []string{"one value", `"192.0.2.8" is one too many`}},
		{"decisions lst", exchange{}, []string{`decisions has no "lst"`, "did you mean list?", "--help"}},
		{"capi frobnicate", exchange{}, []string{`capi has no "frobnicate"; see`}},
		{"metrics lapi", exchange{}, []string{`"lapi"`}},
		{"decisions add 192.0.2.7 --ip 192.0.2.8", exchange{}, []string{"more than one", "192.0.2.7, 192.0.2.8"}},
		{"decisions add 192.0.2.7", exchange{status: 409, answer: `{"error":"192.0.2.7 is allowed"}`}, []string{"is allowed", "--bypass-allowlist", "allowlists remove"}},
		{"decisions import", exchange{}, []string{"--input FILE"}},
		{"decisions import -i testdata/auth.log", exchange{}, []string{"--format values, csv or json"}},
		{"decisions import -i -", exchange{}, []string{"name of - does not say", "--format values, csv or json"}},
		{"decisions import -i testdata/none.csv", exchange{}, []string{"testdata/none.csv", "no such file"}},
		{"decisions import -i testdata/list.txt --batch 5001", exchange{}, []string{"batch 5001", "5000"}},
		{"decisions import -i testdata/list.txt --format csv", exchange{}, []string{"no column value"}},
		{"decisions import -i testdata/list.txt --format json", exchange{}, []string{"list of objects"}},
		{"decisions export --format xml", exchange{}, []string{"csv, json or values"}},
		{"decisions export", exchange{answer: `[{"id":1},`}, []string{"what was written is not all"}},
		{"decisions export", exchange{status: 400, answer: `{"error":"no"}`}, []string{"no"}},
		{"alerts delete", exchange{}, []string{"--id", "--all"}},
		{"alerts delete --all --id 7", exchange{}, []string{"stand alone"}},
		{"bouncers delete a b", exchange{status: 404, answer: `{"error":"there is no bouncer"}`}, []string{"there is no bouncer\nthere is no bouncer"}},
		{"bouncers add x", exchange{status: 409, answer: `{"error":"is there"}`}, []string{"is there", "bouncers delete x"}},
		{"bouncers prune", exchange{answer: `[{"name":"x"}]`}, []string{"Delete 1 bouncer?", "--force"}},
		{"machines add x", exchange{status: 409, answer: `{"error":"is there"}`}, []string{"is there", "--force"}},
		{"machines add", exchange{}, []string{"--auto"}},
		{"machines validate x", exchange{status: 404, answer: `{"error":"no x"}`}, []string{"no x; rampart machines list"}},
		{"notifications test x", exchange{status: 404, answer: `{"error":"no x"}`}, []string{"no x; rampart notifications list"}},
		{"machines add -a -p x", exchange{}, []string{"leave out --password"}},
		{"machines add x -f testdata/list.txt", exchange{}, []string{"is there already", "--force"}},
		{"lapi register", exchange{}, []string{"--url"}},
		{"lapi register -u 192.0.2.1:8080", exchange{}, []string{"is no URL", "http://"}},
		{"lapi status -f testdata/none.yaml", exchange{}, []string{"testdata/none.yaml"}},
		{"allowlists import x testdata/none.txt", exchange{}, []string{"testdata/none.txt"}},
		{"allowlists add x", exchange{}, []string{"an ITEM"}},
		{"decisions add 192.0.2.300", exchange{status: 400, answer: `{"error":"\"192.0.2.300\" is neither an address nor a network"}`},
			[]string{"192.0.2.300"}},
		{"why", exchange{}, []string{"needs an address, a network or an incident id"}},
		{"replay x.log", exchange{}, []string{"--type syslog, nginx"}},
		{"replay --type syslog -o xml x.log", exchange{}, []string{"human, json or raw"}},
		{"replay --type syslog testdata/none.log", exchange{}, []string{"testdata/none.log", "no such file"}},
	} {
		checkTrouble(t, c.args, &c.x, c.want)
	}
}

// checkTrouble runs a command that fails, and looks for words in its error.
func checkTrouble(t *testing.T, args string, x *exchange, want []string) {
	t.Helper()
	out, err := run(t, x, strings.Fields(args)...)
	if err == nil {
		t.Errorf("%s succeeded: %s", args, out)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q is not in %q", args, w, err)
		}
	}
}

// TestPrefix: advice and examples name the program that people have.
func TestPrefix(t *testing.T) {
	o := Options{Prefix: "caddy rampart", Request: func(context.Context, Endpoint, string, string, io.Reader) (*http.Response, error) {
		return nil, errors.New("no answer")
	}}
	for _, cmd := range Commands(o) {
		for _, sub := range append([]*cobra.Command{cmd}, cmd.Commands()...) {
			if strings.Contains(strings.ReplaceAll(sub.Example, "caddy rampart", ""), "  rampart ") {
				t.Errorf("%s: %s", sub.Use, sub.Example)
			}
		}
		if cmd.Name() != "status" {
			continue
		}
		cmd.SetArgs([]string{})
		cmd.SilenceErrors = true
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "(caddy run)") {
			t.Errorf("got %v", err)
		}
	}
}
