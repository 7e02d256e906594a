package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// passage is a protected site with everything behind it that a response recorder
// can break.
const passage = `{
	admin {admin}
	skip_install_trust
	auto_https disable_redirects
	grace_period 1s
	rampart {
		data_dir {state}
		scenarios {dir}/never.yaml
	}
}
(site) {
	rampart
	handle /files/* {
		file_server {
			root {dir}
		}
	}
	reverse_proxy {up}
}
http://127.0.0.1:{port} {
	import site
}
https://localhost:{tls} {
	tls internal
	import site
}
`

// TestPassage: through the real binary, what a handler may do with a response still
// works with the directive before it: over HTTP/1.1 and over HTTP/2.
func TestPassage(t *testing.T) {
	up := newUpstream(t)
	n := newNode(t)
	n.write("never.yaml", never)
	large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB
	n.write("files/large.bin", string(large))
	port := freePort(t)
	n.write("Caddyfile", n.expand(strings.NewReplacer("{up}", up.address, "{tls}", port).Replace(passage)))
	n.start()
	conf := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true} // the node's own authority
	two := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(two.CloseIdleConnections)
	until(t, "there is a certificate", func() bool {
		c, err := tls.Dial("tcp", "localhost:"+port, conf)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, c := range []struct {
		proto, base string
		rt          http.RoundTripper
	}{{"HTTP/1.1", n.url, http.DefaultTransport}, {"HTTP/2.0", "https://localhost:" + port, two}} {
		t.Run(c.proto, func(t *testing.T) {
			p := &passenger{base: c.base, proto: c.proto, rt: c.rt}
			t.Run("events arrive while the handler goes on", p.events)
			t.Run("both directions at once", p.echo)
			t.Run("early hints and trailers", p.hints)
			t.Run("large file", func(t *testing.T) { p.file(t, large) })
			t.Run("websocket", func(t *testing.T) { p.socket(t, conf) })
		})
	}
	if s := n.status(); s.Events.Dropped != 0 {
		t.Errorf("%d events dropped", s.Events.Dropped)
	}
}

type passenger struct {
	base, proto string
	rt          http.RoundTripper
}

func (p *passenger) do(t *testing.T, ctx context.Context, method, path string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.Proto != p.proto {
		t.Fatalf("%s was spoken", resp.Proto)
	}
	return resp
}

// events: the upstream sends one event and then hangs until the client goes.
func (p *passenger) events(t *testing.T) {
	resp := p.do(t, t.Context(), "GET", "/events", nil)
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "data: 0\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

func (p *passenger) echo(t *testing.T) {
	if p.proto == "HTTP/1.1" {
		t.Log("HTTP/1 has no two directions; a body goes up and an answer comes down")
		resp := p.do(t, t.Context(), "POST", "/body", strings.NewReader("ping"))
		if b, err := io.ReadAll(resp.Body); string(b) != "4 <nil>" {
			t.Errorf("got %q, %v", b, err)
		}
		return
	}
	in, out := io.Pipe()
	resp := p.do(t, t.Context(), "POST", "/echo", in)
	buf := make([]byte, 16)
	for i := range 5 {
		want := fmt.Sprint("turn ", i)
		if _, err := io.WriteString(out, want); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, buf[:len(want)]); err != nil || string(buf[:len(want)]) != want {
			t.Fatalf("turn %d: %q, %v", i, buf, err)
		}
	}
	out.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
}

func (p *passenger) hints(t *testing.T) {
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
		return nil
	}}
	resp := p.do(t, httptrace.WithClientTrace(t.Context(), trace), "GET", "/hints", nil)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hinted" || resp.StatusCode != http.StatusCreated {
		t.Errorf("got %s %q, %v", resp.Status, b, err)
	}
	if got := strings.Join(hints, ","); got != "103 </style.css>; rel=preload" {
		t.Errorf("hints %q", got)
	}
	if got := resp.Trailer.Get("X-Sum"); got != "42" {
		t.Errorf("trailer %q", got)
	}
}

func (p *passenger) file(t *testing.T, want []byte) {
	resp := p.do(t, t.Context(), "GET", "/files/large.bin", nil)
	sum := sha256.New()
	if n, err := io.Copy(sum, resp.Body); err != nil || n != int64(len(want)) || resp.ContentLength != n {
		t.Fatalf("%d bytes of %d, %v", n, resp.ContentLength, err)
	}
	if have := sha256.Sum256(want); !bytes.Equal(sum.Sum(nil), have[:]) {
		t.Error("the file is another one")
	}
}

func (p *passenger) socket(t *testing.T, conf *tls.Config) {
	conf = conf.Clone()
	conf.NextProtos = []string{"http/1.1"}
	d := websocket.Dialer{TLSClientConfig: conf}
	ws, _, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.base, "http")+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, text := range []string{"one", strings.Repeat("two", 50_000)} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := ws.ReadMessage(); err != nil || string(b) != text {
			t.Fatalf("got %d bytes, %v", len(b), err)
		}
	}
}
