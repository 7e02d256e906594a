package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	module       = "github.com/rampart-edge/rampart"
	caddyVersion = "v2.11.9"
	xcaddy       = "github.com/caddyserver/xcaddy/cmd/xcaddy@v0.4.5"
)

// TestXcaddy builds Caddy with this module the way anybody does it, and uses what
// comes out.
func TestXcaddy(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a whole Caddy; left out with -short")
	}
	n := newNode(t)
	n.binary = n.path("caddy")
	n.build()

	if out := n.plain("version"); !strings.HasPrefix(out, caddyVersion+" ") {
		t.Errorf("version %s", out)
	}
	modules := strings.Fields(n.plain("list-modules"))
	for _, want := range []string{"rampart", "http.handlers.rampart", "caddy.listeners.rampart", "admin.api.rampart", "http.handlers.reverse_proxy"} {
		if !slices.Contains(modules, want) {
			t.Errorf("%s is not among the modules", want)
		}
	}
	help := n.plain("rampart", "--help")
	for _, c := range []string{"status", "decisions", "alerts", "why", "replay", "unban", "allowlist"} {
		if !strings.Contains(help, "\n  "+c+" ") {
			t.Errorf("caddy rampart has no %s:\n%s", c, help)
		}
	}
	example, err := filepath.Abs("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if out := n.plain("validate", "--adapter", "caddyfile", "--config", example); !strings.Contains(out, "Valid configuration") {
		t.Errorf("Caddyfile.example: %s", out)
	}

	n.write("Caddyfile", n.expand(basic))
	n.start()
	if out, err := n.rampart("rampart", "status"); err != nil || !strings.Contains(out, "problems    none") {
		t.Errorf("caddy rampart status: %v\n%s", err, out)
	}
	if out, err := n.rampart("rampart", "decisions", "add", "203.0.113.1"); err != nil {
		t.Errorf("caddy rampart decisions add: %v\n%s", err, out)
	}
	if a := n.send("203.0.113.1", "GET", "/"); a.status != 403 {
		t.Errorf("a banned client gets %d", a.status)
	}
	if out, err := n.rampart("rampart", "why", "203.0.113.1"); err != nil || !strings.Contains(out, "caddy rampart unban 203.0.113.1") {
		t.Errorf("caddy rampart why: %v\n%s", err, out)
	}
}

// build makes n.binary. The version list of this module is answered locally and is
// empty, so that it makes no difference whether, and which, versions of it are
// published: what is built is this directory.
func (n *node) build() {
	n.t.Helper()
	repo, err := filepath.Abs("../..")
	if err != nil {
		n.t.Fatal(err)
	}
	proxies, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(filepath.Join("proxy", module, "@v", "list"), "")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", xcaddy, "build", caddyVersion, "--output", n.binary, "--with", module+"="+repo)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "TMPDIR="+n.dir,
		"GOPROXY=file://"+n.path("proxy")+","+strings.TrimSpace(string(proxies)))
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("xcaddy build: %v\n%s", err, tail(string(out), 6000))
	}
}

// plain runs the binary without a node.
func (n *node) plain(args ...string) string {
	n.t.Helper()
	out, err := n.command(args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestModuleFile: xcaddy takes over neither replacements nor exclusions, so that
// this module has to do without.
func TestModuleFile(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module           struct{ Path string }
		Require          []struct{ Path, Version string }
		Replace, Exclude []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module || len(mod.Replace)+len(mod.Exclude) != 0 {
		t.Errorf("module %s, replace %v, exclude %v", mod.Module.Path, mod.Replace, mod.Exclude)
	}
	caddy := slices.IndexFunc(mod.Require, func(r struct{ Path, Version string }) bool { return r.Path == "github.com/caddyserver/caddy/v2" })
	if caddy < 0 || mod.Require[caddy].Version != caddyVersion {
		t.Errorf("go.mod wants another Caddy than %s", caddyVersion)
	}
	docker, err := os.ReadFile("../../xcaddy.Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ARG CADDY_VERSION=" + caddyVersion[1:], "xcaddy build", "--with " + module + "=", "\nUSER rampart", "cap_net_admin"} {
		if !strings.Contains(string(docker), want) {
			t.Errorf("xcaddy.Dockerfile has no %q", want)
		}
	}
}
