package notify

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// inbox is a server that remembers what it is sent.
type inbox struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	status   int
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests, i.bodies = append(i.requests, r), append(i.bodies, string(body))
	if i.status != 0 {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(i.status)
		io.WriteString(w, strings.Repeat("why ", 1000))
	}
}

// certificate is one in a directory of its own.
func certificate(t *testing.T, name string) testkit.Certificate {
	t.Helper()
	return testkit.NewCertificate(t, t.TempDir(), name)
}

func newInbox(t *testing.T) *inbox {
	i := &inbox{}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

// sendTo makes the receiver x of a YAML and sends it one text.
func sendTo(t *testing.T, yaml, text string) error {
	t.Helper()
	r := read(t, yaml).byName["x"]
	defer r.sender.close()
	return r.send(t.Context(), text)
}

func TestHTTP(t *testing.T) {
	in := newInbox(t)
	err := sendTo(t, "type: http\nname: x\nurl: "+in.URL+"/path?q=1\nmethod: PUT\nheaders: {Content-Type: text/x, Host: other.example, X-A: b}", "the text")
	if err != nil {
		t.Fatal(err)
	}
	r := in.requests[0]
	got := []string{r.Method, r.RequestURI, r.Host, r.Header.Get("Content-Type"), r.Header.Get("X-A"), r.UserAgent(), in.bodies[0]}
	if diff := cmp.Diff([]string{"PUT", "/path?q=1", "other.example", "text/x", "b", "rampart", "the text"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPAnswers(t *testing.T) {
	for status, want := range map[int]struct {
		fails, permanent bool
		after            time.Duration
	}{
		200: {}, 204: {}, 302: {fails: true, permanent: true}, 400: {fails: true, permanent: true}, 404: {fails: true, permanent: true},
		408: {fails: true}, 429: {fails: true, after: 7 * time.Second}, 500: {fails: true}, 503: {fails: true, after: 7 * time.Second},
	} {
		in := newInbox(t)
		in.status = status
		err := sendTo(t, "type: http\nname: x\nurl: "+in.URL+"/secret", "text")
		_, permanent := err.(permanentError)
		later, _ := err.(laterError)
		if (err != nil) != want.fails || permanent != want.permanent || later.after != want.after {
			t.Errorf("%d: %v, permanent %v, after %s", status, err, permanent, later.after)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || len(err.Error()) > 400) {
			t.Errorf("%d: the error tells too much: %v", status, err)
		}
	}
}

// TestHTTPRedirects: only to the same host and as the same request; anything else is no
// success, and keeps the key to itself.
func TestHTTPRedirects(t *testing.T) {
	other := newInbox(t)
	for name, c := range map[string]struct {
		status int
		to     string
		works  bool
	}{
		"moved":         {http.StatusPermanentRedirect, "/there", true},
		"for now":       {http.StatusTemporaryRedirect, "/there", true},
		"to a page":     {http.StatusFound, "/there", false},
		"to itself":     {http.StatusTemporaryRedirect, "/", false},
		"to other host": {http.StatusPermanentRedirect, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			there := 0
			in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/there" {
					http.Redirect(w, r, c.to, c.status)
					return
				}
				if body, _ := io.ReadAll(r.Body); r.Method == "POST" && string(body) == "text" && r.Header.Get("X-Key") == "k" {
					there++
				}
			}))
			defer in.Close()
			err := sendTo(t, "type: http\nname: x\nheaders: {X-Key: k}\nurl: "+in.URL, "text")
			_, permanent := err.(permanentError)
			if (err == nil) != c.works || permanent == c.works || there != map[bool]int{true: 1}[c.works] {
				t.Errorf("%v, arrived %d times", err, there)
			}
		})
	}
	if len(other.requests) > 0 {
		t.Errorf("another host was sent %v", other.requests[0].Header)
	}
}

// TestHTTPSecrets: no error has the URL, which in chats is the key.
func TestHTTPSecrets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = sendTo(t, "type: slack\nname: x\nwebhook: http://"+l.Addr().String()+"/services/secret", "text")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestHTTPHangs(t *testing.T) {
	release := make(chan struct{})
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer in.Close()
	defer close(release)
	if err := sendTo(t, "type: http\nname: x\ntimeout: 100ms\nurl: "+in.URL, "text"); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("error %v", err)
	}
}

func TestHTTPUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox{}
	server := &http.Server{Handler: in}
	go server.Serve(l)
	defer server.Close()
	if err := sendTo(t, "type: http\nname: x\nurl: http:///path\nunix_socket: "+socket, "text"); err != nil {
		t.Fatal(err)
	}
	if in.requests[0].RequestURI != "/path" || in.bodies[0] != "text" {
		t.Errorf("got %s %q", in.requests[0].RequestURI, in.bodies[0])
	}
}

func TestHTTPCertificates(t *testing.T) {
	server, client, other := certificate(t, "server"), certificate(t, "client"), certificate(t, "other")
	in := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	in.TLS = &tls.Config{Certificates: []tls.Certificate{server.Pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: client.Pool}
	in.Config.ErrorLog = log.New(io.Discard, "", 0) // no failed handshakes in the tests' output
	in.StartTLS()
	defer in.Close()
	base := "type: http\nname: x\nurl: " + in.URL + "\n"
	pair := "cert_path: " + client.CertFile + "\nkey_path: " + client.KeyFile + "\n"
	for _, c := range []struct {
		name, yaml string
		works      bool
	}{
		{"all", base + pair + "ca_cert_path: " + server.CertFile, true},
		{"no authority", base + pair, false},
		{"another authority", base + pair + "ca_cert_path: " + other.CertFile, false},
		{"not verified", base + pair + "skip_tls_verification: true", true},
		{"no client certificate", base + "ca_cert_path: " + server.CertFile, false},
	} {
		if err := sendTo(t, c.yaml, "text"); (err == nil) != c.works {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSlack(t *testing.T) {
	in := newInbox(t)
	err := sendTo(t, "type: slack\nname: x\nwebhook: "+in.URL+"/services/a/b\nchannel: '#sec'\nusername: r\nicon_emoji: ':x:'\nicon_url: http://i", "a \"text\"\n<http://h|x>")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"text":"a \"text\"\n\u003chttp://h|x\u003e","channel":"#sec","username":"r","icon_emoji":":x:","icon_url":"http://i"}`
	if diff := cmp.Diff(want, in.bodies[0]); diff != "" || in.requests[0].Header.Get("Content-Type") != "application/json" || in.requests[0].Method != "POST" {
		t.Errorf("%s %v", diff, in.requests[0].Header)
	}
}

func TestSplunk(t *testing.T) {
	in := newInbox(t)
	if err := sendTo(t, "type: splunk\nname: x\nurl: "+in.URL+"\ntoken: tok", `{"a":1}`); err != nil {
		t.Fatal(err)
	}
	if in.bodies[0] != `{"event":"{\"a\":1}"}` || in.requests[0].Header.Get("Authorization") != "Splunk tok" {
		t.Errorf("%s %v", in.bodies[0], in.requests[0].Header)
	}
}

// TestSentinel: the signature is that of the service's documentation, computed with
// openssl: printf 'POST\n2\napplication/json\nx-ms-date:Sun, 01 Mar 2026 10:00:00 GMT\n/api/logs' | openssl dgst -sha256 -hmac key -binary | base64
func TestSentinel(t *testing.T) {
	in := newInbox(t)
	r := read(t, "type: sentinel\nname: x\ncustomer_id: work\nlog_type: Alerts\nshared_key: "+base64.StdEncoding.EncodeToString([]byte("key"))).byName["x"]
	s := r.channel.(*sentinelSpec)
	_, h, err := s.sign("[]", []byte("key"), time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))
	if err != nil || h.Get("Authorization") != "SharedKey work:"+sentinelSignature {
		t.Errorf("signed %v, %v", h, err)
	}
	p := r.sender.(*poster)
	if p.url != "https://work.ods.opinsights.azure.com/api/logs?api-version=2016-04-01" {
		t.Errorf("url %s", p.url)
	}
	p.url = in.URL + "/api/logs"
	if err := r.send(context.Background(), "[1]"); err != nil {
		t.Fatal(err)
	}
	if h := in.requests[0].Header; h.Get("Log-Type") != "Alerts" || h.Get("X-Ms-Date") == "" || in.bodies[0] != "[1]" {
		t.Errorf("got %v %q", h, in.bodies[0])
	}
	if err := r.send(context.Background(), "no JSON"); err == nil || len(in.bodies) != 1 {
		t.Errorf("a text that is no JSON: %v, %d requests", err, len(in.bodies))
	}
}

const sentinelSignature = "idTmnmmYfHOn5LDPBS8Ro18NYGNKoQi7sKFIYBsZOfU="
