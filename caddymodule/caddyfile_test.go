package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the expected half of testdata/*.caddyfiletest")

// adapt turns a Caddyfile of that name into JSON.
func adapt(t *testing.T, name, text string) ([]byte, error) {
	t.Helper()
	got, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": name})
	return got, err
}

func mustAdapt(t *testing.T, text string) []byte {
	t.Helper()
	got, err := adapt(t, "Caddyfile", text)
	if err != nil {
		t.Fatalf("adapting: %v", err)
	}
	return got
}

// TestAdapt holds the Caddyfiles in testdata to the JSON, or the error text, that
// follows the line of dashes.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), "\n----------\n")
			if !ok && !*update {
				t.Fatal("no line of ten dashes")
			}
			var got string
			if raw, err := adapt(t, "Caddyfile", input+"\n"); err != nil {
				got = err.Error() + "\n"
			} else {
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, raw, "", "\t"); err != nil {
					t.Fatal(err)
				}
				got = pretty.String() + "\n"
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+"\n----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("wrong result (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAdaptRelativePaths: a path means the same whatever directory the server
// that loads the result works in.
func TestAdaptRelativePaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "more.caddy"), []byte("scenarios own.yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := adapt(t, filepath.Join(dir, "Caddyfile"), `{
	rampart {
		data_dir state
		source file logs/*.log ../auth.log {env.LOGS}/x.log /abs/b.log
		scenarios scenarios.d
		import more.caddy
		profiles ./profiles.yaml
		parsers {$RAMPART_TEST_PARSERS:p.d}
	}
}`)
	if err != nil {
		t.Fatal(err)
	}
	app := appOf(t, raw)
	want := &App{}
	want.DataDir = dir + "/state"
	want.Scenarios = []string{dir + "/scenarios.d", dir + "/own.yaml"}
	want.Profiles, want.Parsers = dir+"/profiles.yaml", []string{dir + "/p.d"}
	if got := []any{app.DataDir, app.Scenarios, app.Profiles, app.Parsers}; !cmp.Equal(got,
		[]any{want.DataDir, want.Scenarios, want.Profiles, want.Parsers}) {
		t.Errorf("got %v", got)
	}
	paths := []string{dir + "/logs/*.log", filepath.Dir(dir) + "/auth.log", "{env.LOGS}/x.log", "/abs/b.log"}
	if diff := cmp.Diff(paths, app.Sources[0].Paths); diff != "" {
		t.Error(diff)
	}
}

// appOf decodes the app as Caddy does: strictly.
func appOf(t *testing.T, config []byte) *App {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	app := new(App)
	if err := caddy.StrictUnmarshalJSON(c.AppsRaw["rampart"], app); err != nil {
		t.Fatal(err)
	}
	return app
}

// TestAdaptRoundTrip: all that the Caddyfile can say survives the way through
// JSON, which the server decodes strictly.
func TestAdaptRoundTrip(t *testing.T) {
	data, err := os.ReadFile("testdata/everything.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	input, _, _ := strings.Cut(string(data), "\n----------\n")
	app := appOf(t, mustAdapt(t, input))
	again, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	second := new(App)
	if err := caddy.StrictUnmarshalJSON(again, second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(app.Config, second.Config, cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type().Kind().String() == "func"
	}, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if !second.UnsafeTrustedProxies {
		t.Error("unsafe_trusted_proxies was lost")
	}
}

// TestWrapperSyntax: the listener wrapper can be embedded wherever Caddy reads
// listener wrappers.
func TestWrapperSyntax(t *testing.T) {
	if err := new(ListenerWrapper).UnmarshalCaddyfile(caddyfile.NewTestDispenser("rampart")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"rampart now", "rampart {\n x\n}"} {
		if err := new(ListenerWrapper).UnmarshalCaddyfile(caddyfile.NewTestDispenser(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
