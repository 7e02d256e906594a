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
		{"decisions list", "GET", "/rampart/decisions", ""},
		{"decisions list --all --ip 192.0.2.7 --type ban", "GET", "/rampart/decisions?all=true&ip=192.0.2.7&type=ban", ""},
		{"decision list --scenario a&b", "GET", "/rampart/decisions?scenario=a%26b", ""},
		{"decisions add 192.0.2.7", "POST", "/rampart/decisions", `{"value":"192.0.2.7","type":"ban","duration":"4h"}`},
		{"decisions add --value bob --scope user -t captcha -d 1d -R why", "POST", "/rampart/decisions",
			`{"value":"bob","scope":"user","type":"captcha","duration":"1d","reason":"why"}`},
		{"decisions delete --id 7", "DELETE", "/rampart/decisions?id=7", ""},
		{"decisions delete --all", "DELETE", "/rampart/decisions?all=true", ""},
		{"unban 2001:db8::/48", "POST", "/rampart/unban", `{"value":"2001:db8::/48"}`},
		{"alerts list", "GET", "/rampart/alerts?limit=50", ""},
		{"alerts list --since 2d --value 192.0.2.7 -l 3", "GET", "/rampart/alerts?limit=3&since=2d&value=192.0.2.7", ""},
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
		x := &exchange{answer: "null"}
		if _, err := run(t, x, strings.Fields(c.args)...); err != nil && !strings.Contains(err.Error(), "reading the node's answer") {
			t.Errorf("%s: %v", c.args, err)
		}
		if x.method != c.method || x.path != c.path || x.body != c.body {
			t.Errorf("%s asked %s %s %s", c.args, x.method, x.path, x.body)
		}
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
		{"decisions add 192.0.2.300", exchange{status: 400, answer: `{"error":"\"192.0.2.300\" is neither an address nor a network"}`},
			[]string{"192.0.2.300"}},
		{"why", exchange{}, []string{"needs an address, a network or an incident id"}},
		{"replay x.log", exchange{}, []string{"--type syslog, nginx"}},
		{"replay --type syslog -o xml x.log", exchange{}, []string{"human, json or raw"}},
		{"replay --type syslog testdata/none.log", exchange{}, []string{"testdata/none.log", "no such file"}},
	} {
		out, err := run(t, &c.x, strings.Fields(c.args)...)
		if err == nil {
			t.Errorf("%s succeeded: %s", c.args, out)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %q", c.args, w, err)
			}
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
