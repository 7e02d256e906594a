package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// patience bounds every wait. It is generous: the tests assert what happens, not
// how fast.
const patience = 30 * time.Second

// binary is the program under test: RAMPART_BINARY, or one that is built once.
var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("RAMPART_BINARY"); b != "" {
		return b, nil
	}
	dir, err := os.MkdirTemp("", "rampart-e2e-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "rampart")
	cmd := exec.Command("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", out, "./cmd/rampart")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, msg)
	}
	return out, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if b, err := binary(); err == nil && os.Getenv("RAMPART_BINARY") == "" {
		os.RemoveAll(filepath.Dir(b))
	}
	os.Exit(code)
}

// node is one running Rampart with its own directory.
type node struct {
	t      testing.TB
	binary string
	dir    string // config, state, logs
	admin  string // Caddy network address of the admin socket
	port   string
	url    string // http://127.0.0.1:port
	cmd    *exec.Cmd
	exited chan error
}

// newNode prepares a node and starts nothing. In a Caddyfile of it {dir}, {admin},
// {port} and {state} stand for its places.
func newNode(t testing.TB) *node {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the whole binary; left out with -short")
	}
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rp") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, binary: b, dir: dir, admin: "unix/" + filepath.Join(dir, "a.sock"), port: freePort(t)}
	n.url = "http://127.0.0.1:" + n.port
	t.Cleanup(func() {
		if n.cmd != nil {
			n.kill()
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", tail(n.read("rampart.log"), 12_000))
		}
		os.RemoveAll(dir)
	})
	return n
}

// startNode prepares and starts a node, and waits until its site answers.
func startNode(t testing.TB, caddyfile string) *node {
	t.Helper()
	n := newNode(t)
	n.write("Caddyfile", n.expand(caddyfile))
	n.start()
	return n
}

func (n *node) expand(text string) string {
	return strings.NewReplacer("{dir}", n.dir, "{admin}", n.admin, "{port}", n.port,
		"{state}", filepath.Join(n.dir, "state")).Replace(text)
}

// path is a file of the node's directory.
func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(n.path(name)), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.path(name), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// add appends lines to a file of the node's directory.
func (n *node) add(name string, lines ...string) {
	n.t.Helper()
	f, err := os.OpenFile(n.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) read(name string) string {
	b, _ := os.ReadFile(n.path(name)) // "" is what the callers expect of a missing file
	return string(b)
}

// start runs the Caddyfile in the node's directory.
func (n *node) start() {
	n.t.Helper()
	log, err := os.OpenFile(n.path("rampart.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = n.command("run", "--config", n.path("Caddyfile"), "--adapter", "caddyfile")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(n.cmd, n.exited)
	until(n.t, "the node answers", func() bool {
		select {
		case err := <-n.exited:
			n.exited <- err
			n.t.Fatalf("the node ended: %v\n%s", err, tail(n.read("rampart.log"), 4000))
		default:
		}
		if _, err := n.try("GET", "/rampart/status", nil); err != nil {
			return false
		}
		// Caddy tells its configuration when it has started all of it, the sites too.
		_, err := n.try("GET", "/config/", nil)
		return err == nil
	})
}

// command is the binary with arguments, in the node's own world.
func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(n.binary, args...)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(), "HOME="+n.dir, "XDG_DATA_HOME="+n.dir, "XDG_CONFIG_HOME="+n.dir)
	return cmd
}

// rampart runs one of our commands against the node and returns what it printed.
func (n *node) rampart(args ...string) (string, error) {
	out, err := n.command(append(args, "--address", n.admin)...).CombinedOutput()
	return string(out), err
}

// reload offers a Caddyfile to the running node.
func (n *node) reload(caddyfile string) error {
	n.write("reload.Caddyfile", n.expand(caddyfile))
	out, err := n.command("reload", "--force", "--config", n.path("reload.Caddyfile"), "--adapter", "caddyfile",
		"--address", n.admin).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// stop ends the node as systemd does, and waits.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
}

// kill ends the node as the kernel does when memory runs out, and waits.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	_ = n.cmd.Process.Signal(s) // it may have ended already
	select {
	case <-n.exited:
	case <-time.After(patience):
		n.t.Errorf("the node did not end within %s of %s", patience, s)
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
	n.cmd = nil
}

// adminClient speaks to the node's admin socket.
func (n *node) adminClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", strings.TrimPrefix(n.admin, "unix/")) }}}
}

// try calls the admin API and returns the body of a 200.
func (n *node) try(method, path string, body any) ([]byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://admin"+path, in)
	if err != nil {
		return nil, err
	}
	req.Host = ""
	resp, err := n.adminClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d: %s", method, path, resp.StatusCode, b)
	}
	return b, err
}

// ask calls the admin API and decodes the answer.
func ask[T any](n *node, method, path string, body any) T {
	n.t.Helper()
	var out T
	b, err := n.try(method, path, body)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		n.t.Fatalf("%s %s: %v in %s", method, path, err, b)
	}
	return out
}

func (n *node) status() appliance.Status {
	n.t.Helper()
	return ask[appliance.Status](n, "GET", "/rampart/status", nil)
}

// decided are the decisions in force that cover an address.
func (n *node) decided(ip string) []decisions.Decision {
	n.t.Helper()
	return ask[[]decisions.Decision](n, "GET", "/rampart/decisions?ip="+ip, nil)
}

func (n *node) alerts(query string) []event.Alert {
	n.t.Helper()
	return ask[[]event.Alert](n, "GET", "/rampart/alerts?"+query, nil)
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) remediation() string { return a.header.Get("X-Rampart-Remediation") }

// send makes a request on behalf of from (X-Forwarded-For; "" for none). Header
// pairs follow.
func (n *node) send(from, method, path string, header ...string) answer {
	n.t.Helper()
	req, err := http.NewRequest(method, n.url+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if from != "" {
		req.Header.Set("X-Forwarded-For", from)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// until waits for something to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited %s in vain until %s", patience, what)
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// basic is a site on loopback that trusts 127.0.0.1 to name clients.
const basic = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello" 200
}
`

// basicWith is basic with more in the block rampart.
func basicWith(rampart string) string {
	return strings.Replace(basic, "data_dir {state}", "data_dir {state}\n\t\t"+rampart, 1)
}

// TestLadder takes one scanner from the first odd request to a ban.
func TestLadder(t *testing.T) {
	n := startNode(t, basic)
	if a := n.send("198.51.100.1", "GET", "/"); a.status != 200 || a.body != "hello" {
		t.Fatalf("a visitor got %d %q", a.status, a.body)
	}
	var seen []string
	for i := range 60 {
		a := n.send("203.0.113.7", "GET", fmt.Sprintf("/.env.%d", i), "Accept", "text/html", "User-Agent", "Mozilla/5.0")
		if r := a.remediation(); len(seen) == 0 || seen[len(seen)-1] != r {
			seen = append(seen, r)
		}
	}
	if got := strings.Join(seen, ","); got != ",captcha,ban" {
		t.Errorf("the scanner met %q, want nothing, captcha, ban", got)
	}
	if a := n.send("198.51.100.1", "GET", "/"); a.status != 200 {
		t.Errorf("the visitor got %d afterwards", a.status)
	}
}
