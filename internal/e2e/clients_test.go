//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// operator is the machine that cscli and the agent log in as.
const operator = "operator"

// foreign are CrowdSec's own clients, unpacked by .ci/clients, and a node that they
// connect to. They know it as they know their own server: by an address and a key.
type foreign struct {
	*node
	t    *testing.T
	root string // where they are unpacked
	lapi string // http://host:port
	in   func(program string, args ...string) *exec.Cmd
}

// foreigners prepares clients for a node that runs. It skips the test where they are
// not at hand.
func foreigners(t *testing.T, n *node, lapi string) *foreign {
	t.Helper()
	f := &foreign{node: n, t: t, root: clientsRoot(t), lapi: lapi, in: exec.Command}
	hub := filepath.Join(f.root, "usr/share/crowdsec/hub")
	f.write("crowdsec/config.yaml", f.expand(`common: {daemonize: false, log_media: stdout, log_level: info, working_dir: .}
config_paths:
  config_dir: {dir}/crowdsec
  data_dir: {dir}/crowdsec/data
  simulation_path: {dir}/crowdsec/simulation.yaml
  hub_dir: `+hub+`
  index_path: `+hub+`/.index.json
  notification_dir: {dir}/crowdsec/notifications
crowdsec_service: {acquisition_path: {dir}/crowdsec/acquis.yaml, parser_routines: 1}
cscli: {output: human, color: "no"}
api: {client: {credentials_path: {dir}/crowdsec/credentials.yaml}}
prometheus: {enabled: false}
`))
	f.write("crowdsec/simulation.yaml", "simulation: false\n")
	f.write("crowdsec/data/none", "")
	f.write("crowdsec/notifications/none", "")
	f.do("machines", "add", operator, "--file", f.path("crowdsec/credentials.yaml"))
	return f
}

// clientsRoot is the folder with the clients.
func clientsRoot(t *testing.T) string {
	t.Helper()
	root := os.Getenv("RAMPART_CLIENTS")
	if root == "" {
		t.Skip("skipped: needs CrowdSec's own clients, which make test-clients fetches")
	}
	for _, b := range []string{"cscli", "crowdsec", "crowdsec-firewall-bouncer", "crowdsec-custom-bouncer"} {
		if _, err := os.Stat(filepath.Join(root, "usr/bin", b)); err != nil {
			t.Fatalf("RAMPART_CLIENTS: %v", err)
		}
	}
	return root
}

// key lets a bouncer call.
func (f *foreign) key(bouncer string) string {
	f.t.Helper()
	return strings.TrimSpace(f.do("bouncers", "add", bouncer, "-o", "raw"))
}

// client is one of the clients with its libraries.
func (f *foreign) client(program string, args ...string) *exec.Cmd {
	cmd := f.in(filepath.Join(f.root, "usr/bin", program), args...)
	libraries, _ := filepath.Glob(filepath.Join(f.root, "usr/lib/*-linux-*")) // the pattern is none that can be wrong
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "HOME="+f.dir, "TZ=UTC")
	cmd.Dir = f.dir
	return cmd
}

// cscli runs cscli. It logs to the second stream and tells its results on the first.
func (f *foreign) cscli(args ...string) (out, log string, err error) {
	cmd := f.client("cscli", append([]string{"-c", f.path("crowdsec/config.yaml")}, args...)...)
	var first, second bytes.Buffer
	cmd.Stdout, cmd.Stderr = &first, &second
	err = cmd.Run()
	return first.String(), second.String(), err
}

// tell runs cscli, which must succeed, and wants a text in what it says.
func (f *foreign) tell(want string, args ...string) string {
	f.t.Helper()
	out, log, err := f.cscli(args...)
	if err != nil || !strings.Contains(out+log, want) {
		f.t.Fatalf("cscli %s: %v, want %q in\n%s%s", strings.Join(args, " "), err, want, out, log)
	}
	return out
}

// fails runs cscli, which must not succeed, and wants a text in what it says.
func (f *foreign) fails(want string, args ...string) {
	f.t.Helper()
	if out, log, err := f.cscli(args...); err == nil || !strings.Contains(out+log, want) {
		f.t.Errorf("cscli %s: %v, want it to fail with %q in\n%s%s", strings.Join(args, " "), err, want, out, log)
	}
}

// foreignAlert is an alert as cscli tells of it in JSON.
type foreignAlert struct {
	ID        int64  `json:"id"`
	Scenario  string `json:"scenario"`
	Machine   string `json:"machine_id"`
	Decisions []struct {
		ID                                             int64
		Scope, Value, Type, Origin, Duration, Scenario string
	} `json:"decisions"`
	Events []struct {
		Meta []struct{ Key, Value string } `json:"meta"`
	} `json:"events"`
	Source struct{ Scope, Value, IP string } `json:"source"`
}

// list asks cscli for JSON. Without any results cscli 1.4 says null.
func (f *foreign) list(args ...string) (alerts []foreignAlert) {
	f.t.Helper()
	out := f.tell("", append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &alerts); err != nil {
		f.t.Fatalf("cscli %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return alerts
}

// listed are the decisions that cscli lists, as "type scope value", sorted.
func (f *foreign) listed(args ...string) []string {
	f.t.Helper()
	var ds []string
	for _, a := range f.list(append([]string{"decisions", "list"}, args...)...) {
		for _, d := range a.Decisions {
			ds = append(ds, d.Type+" "+d.Scope+" "+d.Value)
		}
	}
	slices.Sort(ds)
	return ds
}

// keep runs a client until it is stopped or the test ends; its output goes into a file
// of that name.
func (f *foreign) keep(name string, cmd *exec.Cmd) (stop func()) {
	f.t.Helper()
	out, err := os.OpenFile(f.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended already
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	f.t.Cleanup(func() {
		stop()
		if f.t.Failed() {
			f.t.Logf("%s:\n%s", name, tail(f.read(name), 6000))
		}
	})
	return stop
}

// foreignNode is a node with a site, and with the Local API on loopback.
func foreignNode(t *testing.T) *foreign {
	t.Helper()
	clientsRoot(t) // before anything is built
	n, lapi := apiNode(t, "")
	return foreigners(t, n, lapi)
}

// refuses waits until the site refuses an address, or no longer does.
func (f *foreign) refuses(ip string, want bool) {
	f.t.Helper()
	until(f.t, fmt.Sprintf("the site refuses %s: %v", ip, want), func() bool { return (f.send(ip, "GET", "/").status == 403) == want })
}
