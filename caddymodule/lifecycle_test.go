package caddymodule

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// users is how many configurations hold the node of that name.
func users(name string) int {
	n, _ := nodes.References(name)
	return n
}

// TestReload: the node lives through reloads, good and bad, with exactly one user
// after each, and is let go of at the end.
func TestReload(t *testing.T) {
	name, port := nodeNameOf(t), freePort(t)
	block := rampartBlock(t, "%s")
	config := func(more, site string) string {
		return withGlobals(t, fmt.Sprintf(block, more), fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\n%s\n}", port, site))
	}
	load(t, config("", "respond one"))
	first := runningNode()
	if first == nil || users(name) != 1 {
		t.Fatalf("running %v, %d users", first, users(name))
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, step := range []struct {
		name, more, site, wrong string
	}{
		{name: "same", site: "respond one"},
		{name: "changed", more: "contact ops@example.com", site: "respond two"},
		{name: "own provision fails", more: "profiles " + missing, site: "respond no", wrong: "none.yaml"},
		{name: "another app fails", site: "basic_auth {\nx y\n}", wrong: "base64"},
		{name: "occupied port", site: "respond no\n}\nhttp://localhost:" + port2(taken) + " {\nbind tcp/127.0.0.1", wrong: "address already in use"},
		{name: "changed again", more: "allow 192.0.2.1", site: "respond three"},
	} {
		t.Run(step.name, func(t *testing.T) {
			err := caddy.Load(mustAdapt(t, config(step.more, step.site)), true)
			if step.wrong == "" && err != nil {
				t.Fatal(err)
			}
			if step.wrong != "" && (err == nil || !strings.Contains(err.Error(), step.wrong)) {
				t.Fatalf("got %v, not an error about %q", err, step.wrong)
			}
			if n := users(name); n != 1 {
				t.Errorf("%d users", n)
			}
			if runningNode() != first || first.started.Load() != 1 {
				t.Errorf("another node runs, or %d configurations", first.started.Load())
			}
		})
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if runningNode() != nil || users(name) != 0 {
		t.Errorf("after stopping: %d users", users(name))
	}
}

func port2(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// TestRename: with another name another node runs, and the old one is let go of.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	config := func(node string) string {
		return withGlobals(t, fmt.Sprintf("rampart {\nnode %s\ndata_dir %s\n}", node, dir), "")
	}
	load(t, config("rename-a"))
	before := runningNode()
	if err := caddy.Load(mustAdapt(t, config("rename-b")), true); err != nil {
		t.Fatal(err)
	}
	if after := runningNode(); after == nil || after == before || users("rename-a") != 0 || users("rename-b") != 1 {
		t.Errorf("running %p after %p, users %d and %d", after, before, users("rename-a"), users("rename-b"))
	}
	if err := caddy.Load(mustAdapt(t, withGlobals(t, "", "")), true); err != nil {
		t.Fatal(err)
	}
	if runningNode() != nil || users("rename-b") != 0 {
		t.Errorf("a node survived the removal of its block")
	}
}

// TestStartFails: a node that cannot open its data directory stops the load, and
// leaves no user behind.
func TestStartFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := withGlobals(t, fmt.Sprintf("rampart {\nnode start-fails\ndata_dir %s\n}", file), "")
	err := caddy.Load(mustAdapt(t, text), true)
	t.Cleanup(func() { _ = caddy.Stop() })
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if users("start-fails") != 0 {
		t.Errorf("%d users", users("start-fails"))
	}
}

// TestValidateBesideRunning: validating a configuration, good or bad, changes
// nothing about the node that runs, nor on disk.
func TestValidateBesideRunning(t *testing.T) {
	name, port := nodeNameOf(t), freePort(t)
	block, other := rampartBlock(t, ""), filepath.Join(t.TempDir(), "other")
	site := fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\nrespond x\n}", port)
	load(t, withGlobals(t, block, site))
	first := runningNode()
	since := first.since.Load()
	if err := validate(t, withGlobals(t, block, site)); err != nil {
		t.Error(err)
	}
	if err := validate(t, withGlobals(t, fmt.Sprintf("rampart {\ndata_dir %s\nnode elsewhere\n}", other), site)); err != nil {
		t.Error(err)
	}
	if err := validate(t, withGlobals(t, rampartBlock(t, "profiles /nonexistent/profiles.yaml"), site)); err == nil {
		t.Error("a missing profile file was accepted")
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("validating made a data directory: %v", err)
	}
	if runningNode() != first || first.since.Load() != since || first.started.Load() != 1 || users(name) != 1 || users("elsewhere") != 0 {
		t.Errorf("validating touched the running node")
	}
}

// TestCleanup: it may come after a failed Provision, without Start, and twice.
func TestCleanup(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	good := new(App)
	good.Node, good.DataDir = nodeNameOf(t), t.TempDir()
	if err := good.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	bad := new(App)
	bad.Node, bad.DataDir, bad.Profiles = good.Node, good.DataDir, "/nonexistent/profiles.yaml"
	if err := bad.Provision(ctx); err == nil {
		t.Fatal("a missing profile file was accepted")
	}
	for _, app := range []*App{bad, new(App)} {
		for range 2 {
			if err := app.Cleanup(); err != nil {
				t.Error(err)
			}
		}
	}
	if n := users(good.Node); n != 1 {
		t.Errorf("%d users before the good one is cleaned up", n)
	}
	if err := good.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := good.Stop(); err != nil {
			t.Error(err)
		}
		if err := good.Cleanup(); err != nil {
			t.Error(err)
		}
	}
	if n := users(good.Node); n != 0 {
		t.Errorf("%d users left", n)
	}
	if good.node.started.Load() != 0 {
		t.Errorf("%d configurations still started", good.node.started.Load())
	}
}

// TestNeedsApp: without the app, the handler and the wrapper say what to add.
func TestNeedsApp(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	for _, m := range []caddy.Provisioner{new(Handler), new(ListenerWrapper)} {
		if err := m.Provision(ctx); err == nil || !strings.Contains(err.Error(), "add a rampart block") {
			t.Errorf("%T: %v", m, err)
		}
	}
}

// TestPlaceholders: global placeholders work where an operator would want them.
func TestPlaceholders(t *testing.T) {
	t.Setenv("RAMPART_TEST_DIR", t.TempDir())
	t.Setenv("RAMPART_TEST_NET", "192.0.2.0/24")
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	app := new(App)
	app.Node, app.DataDir = nodeNameOf(t), "{env.RAMPART_TEST_DIR}/state"
	app.Allow, app.Contact = []string{"{env.RAMPART_TEST_NET}"}, "{unknown.thing}"
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	defer app.Cleanup()
	if app.DataDir != os.Getenv("RAMPART_TEST_DIR")+"/state" || app.Allow[0] != "192.0.2.0/24" || app.Contact != "{unknown.thing}" {
		t.Errorf("got %q %q %q", app.DataDir, app.Allow, app.Contact)
	}
}
