package appliance

import (
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestAPIOutlivesReloads: the listener, keys and tokens stay, and a call under way.
func TestAPIOutlivesReloads(t *testing.T) {
	dir := t.TempDir()
	a := open(t, served(Config{DataDir: dir}))
	at, key := address(t, a), bouncer(t, a, "fw")
	token := agent(t, a, "web-1")
	kept := &http.Client{}
	defer kept.CloseIdleConnections()
	call := func() (int, string) {
		return callAPI(t, kept, "GET", "http://"+at+"/v1/heartbeat", "", "Authorization", token)
	}
	if status, text := call(); status != 200 {
		t.Fatalf("heartbeat: %d %s", status, text)
	}
	before := apiOf(a).listener
	release := use(t, a, compiled(t, served(Config{DataDir: dir, Contact: "another"})))
	if apiOf(a).listener != before {
		t.Error("the listener was opened anew")
	}
	if status, text := call(); status != 200 {
		t.Errorf("after the reload: %d %s", status, text)
	}
	if status := lookUp(t, "http://"+at, key); status != 200 {
		t.Errorf("the key after the reload: %d", status)
	}
	release()
	if status, _ := call(); status != 200 || apiOf(a).listener != before {
		t.Errorf("after the way back: %d", status)
	}
}

// TestAPIAddressTaken: a configuration whose address cannot be had is refused, and the
// old one stays.
func TestAPIAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := &APIConfig{Listen: taken.Addr().String()}
	dir := t.TempDir()
	a := open(t, served(Config{DataDir: dir}))
	key := bouncer(t, a, "fw")
	if _, err := a.Use(compiled(t, Config{DataDir: dir, Contact: "x", API: at})); err == nil || !strings.Contains(err.Error(), at.Listen) {
		t.Errorf("taken address: %v", err)
	}
	if a.Contact() != "" || len(a.gens) != 1 {
		t.Error("what was refused is in force")
	}
	if status := lookUp(t, "http://"+address(t, a), key); status != 200 {
		t.Errorf("the old one: %d", status)
	}

	// A node that never started leaves its directory to the next.
	first, other := New(Options{Node: "other"}), t.TempDir()
	if _, err := first.Use(compiled(t, Config{DataDir: other, API: at})); err == nil {
		t.Error("a start with a taken address works")
	}
	open(t, Config{DataDir: other})
}

// TestAPIMoves: from one address to another, to none and back.
func TestAPIMoves(t *testing.T) {
	dir := t.TempDir()
	a := open(t, served(Config{DataDir: dir}))
	key, first := bouncer(t, a, "fw"), address(t, a)
	socket := filepath.Join(t.TempDir(), "api.sock")
	release := use(t, a, compiled(t, Config{DataDir: dir, API: &APIConfig{Socket: socket}}))
	if at := address(t, a); at != socket {
		t.Errorf("served at %s, want %s", at, socket)
	}
	through := &http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	defer through.CloseIdleConnections()
	if status, text := callAPI(t, through, "GET", "http://api/v1/decisions?ip=192.0.2.1", "", "X-Api-Key", key); status != 200 {
		t.Errorf("through the socket: %d %s", status, text)
	}
	until(t, "the former address is closed", func() bool {
		c, err := net.Dial("tcp", first)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	none := use(t, a, compiled(t, Config{DataDir: dir}))
	if s := apiOf(a).status(); s.Served || len(s.Addresses) > 0 {
		t.Errorf("without api: %+v", s)
	}
	none()
	release()
	if status := lookUp(t, "http://"+address(t, a), key); status != 200 {
		t.Errorf("back: %d", status)
	}
}

// TestAPITurnsToTLS: a change at the same address takes effect, and one that cannot be
// leaves what was.
func TestAPITurnsToTLS(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	_ = ln.Close()
	dir, pair := t.TempDir(), testkit.NewCertificate(t, t.TempDir(), "one")
	a := open(t, Config{DataDir: dir, API: &APIConfig{Listen: at}})
	key := bouncer(t, a, "fw")
	use(t, a, compiled(t, Config{DataDir: dir, API: &APIConfig{Listen: at, TLS: &APITLS{Cert: pair.CertFile, Key: pair.KeyFile}}}))
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	ask := func() int {
		status, _ := callAPI(t, secure, "GET", "https://"+at+"/v1/decisions?ip=192.0.2.1", "", "X-Api-Key", key)
		return status
	}
	if status := ask(); status != 200 {
		t.Errorf("with TLS: %d", status)
	}
	bad := compiled(t, Config{DataDir: dir, API: &APIConfig{Listen: at, TLS: &APITLS{Cert: pair.CertFile, Key: pair.KeyFile}}})
	bad.api.listen.TLS.CA = filepath.Join(dir, "absent.pem")
	if _, err := a.Use(bad); err == nil {
		t.Error("an authority that is not there is taken")
	}
	if status := ask(); status != 200 {
		t.Errorf("after a bad change: %d", status)
	}
}

// TestAPIOpensAgain: an address that somebody took meanwhile is tried again, and status
// says so until then.
func TestAPIOpensAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	_ = ln.Close()
	dir := t.TempDir()
	a := open(t, Config{DataDir: dir, API: &APIConfig{Listen: at}})
	release := use(t, a, compiled(t, served(Config{DataDir: dir})))
	apiOf(a).closing.Wait()
	if ln, err = net.Listen("tcp", at); err != nil {
		t.Fatal(err)
	}
	release()
	problems := func() string { return strings.Join(a.live.Load().status().Problems, "\n") }
	if got := problems(); !strings.Contains(got, at) {
		t.Errorf("problems: %q", got)
	}
	if got := metric(gather(t, a), "rampart_api_up{}"); got != 0 {
		t.Errorf("rampart_api_up is %v", got)
	}
	_ = ln.Close()
	apiOf(a).look(time.Now().Add(2*apiRetry), zap.NewNop())
	if got := problems(); got != "" || address(t, a) != at {
		t.Errorf("problems: %q", got)
	}
}
