package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go/http3"
)

// oddClient sends requests of every kind, each on behalf of a client of its own.
type oddClient struct {
	t                 *testing.T
	node              *node
	port2, port3, tls string

	mu      sync.Mutex
	clients int
	about   map[string]string // client → what was sent, for messages
	jobs    []func()
}

// oddTargets are request targets as they stand on the request line.
var oddTargets = []string{
	"/", "//", "///a//b", "/a/../b", "/../../etc/passwd", "/./.", "/..", "/a/.", "/a/..;/b",
	"/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f", "/%2F%2f", "/a%00b", "/%", "/a%0ab", "/a%0d%0aX-Y:%20z", "/%25%32%65",
	"/caf\xc3\xa9", "/caf%C3%A9", "/\xff\xfe", "/a\xc3", "/%ff", "/\xe2\x80\xa8line", "/a\x80?b=\x81", "/emoji\xf0\x9f\xa6\x8a.png",
	"/?", "/??", "/?a", "/?a=b?c=d", "/a?b/c?d/e.f", "/a.php?x=/../..", "/?/", "/a?", "/a??b", "/?a=%3F", "/a%3Fb?c",
	"/.env", "/.env.bak", "/.git/config", "/a.b.c", "/..a", "/...", "/a..", "/a.", "/.", "/dir.d/", "/dir.d/file", "/a/.b/c.d?e.f/g.h",
	"/style.css", "/STYLE.CSS", "/a.Js", "/x.woff2?v=1", "/x.css.map", "/x.mjs", "/x.tar.gz", "/.css", "/a/.js", "/x.brotli", "/x.jpegx", "/x.ts/",
	"/a#b", "/a#?b", "/a;b=c", "/a,b", "/a b", "/a\"b", "/a'b", "/a<b>c", "/a\\b", "/a|b", "/a`b", "/a{b}", "/a^b", "/[a]", "/a:b", "/@a", "/~a", "/$a", "/&a=b", "/+",
	"/status/200/extra?x", "/very/" + strings.Repeat("deep/", 200) + "x", "/" + strings.Repeat("a", 5000), "/?" + strings.Repeat("k=v&", 1000),
	"/" + strings.Repeat("?", 300), "/" + strings.Repeat(".", 300), "/" + strings.Repeat("/", 300), "/a?q=" + strings.Repeat("%27", 1500),
	"/files/page.html", "/files/../files/page.html", "/files//page.html", "/files/", "/files", "/files/none.html?a", "/moved?a=b", "/rewritten/x?y=1",
	"/zipped?z", "/nothing", "/forged", "/basicish", "/private", "/private?x", "/upstream?a=b", "/upstream/%2e%2e/x", "/gone", "/closed",
	"/error/404", "/error/404?x", "/error/418", "/error/500", "/error/502", "/unhandled.php", "/status/301", "/status/404", "/status/403", "/status/502", "/status/599",
	"http://other.example/absolute", "http://other.example", "http://other.example?q", "http://u:p@other.example:81/a/b.c?d", "https://other.example/x.css", "ftp://x/y",
	"http:///nohost", "HTTP://UPPER.example/UP", "http://[2001:db8::1]:80/six", "mailto:nobody@example.com", "x:/y", "/wp-login.php?redirect_to=http%3A%2F%2Fx%2F%3Fy",
}

// oddAgents are values of User-Agent; "-" sends no such header.
var oddAgents = []string{
	"-", "", " ", "Mozilla/5.0 (X11; Linux x86_64)", "caf\xc3\xa9/1", "\xff\xfe\xfd", "a\xc3(b", "tab\there", `quo"te\back`, "<script>", "\xe2\x80\xa8", "a?b/c.d",
	strings.Repeat("long ", 300), "null", "-\"-", "sqlmap/1.7", "\xed\xa0\x80", "%s%d{http.vars.x}",
}

var oddMethods = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND", "M-SEARCH", "get", "Get", "FOO", "X", "A!#$%&'*+.^_`|~9", "QUERY", "CONNECT", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"}

// client makes up a client and notes what it is for. The address stands in the
// header as is, and in events in its canonical form.
func (o *oddClient) client(about string) (header, canonical string) {
	if o.about == nil {
		o.about = map[string]string{}
	}
	o.clients++
	i := o.clients
	canonical = fmt.Sprintf("10.77.%d.%d", i/250, 1+i%250)
	header = canonical
	switch i % 5 {
	case 1:
		canonical = fmt.Sprintf("2001:db8::%x", i)
		header = fmt.Sprintf("2001:0DB8:0:0:0::%X", i)
	case 2:
		header = "::ffff:" + canonical
	case 3:
		header = "203.0.113.9, garbage, " + canonical
	}
	o.about[canonical] = about
	return header, canonical
}

// refused notes that the server answered without a handler or a log line: what was
// sent is no request to Go's HTTP server.
func (o *oddClient) refused(client string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.about, client)
}

// job queues a request; all run at once at the end.
func (o *oddClient) job(f func()) { o.jobs = append(o.jobs, f) }

func (o *oddClient) all() {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	for _, target := range oddTargets {
		for _, port := range []string{o.node.port, o.port2, o.port3} {
			o.raw(port, "GET", target, "1.1", "Host: example.com", pick(oddAgents))
		}
		o.raw(o.node.port, pick(oddMethods), target, "1.0", "", pick(oddAgents))
		o.h2(target, pick(oddAgents))
	}
	for range 120 {
		parts := make([]string, 1+rng.IntN(6))
		for i := range parts {
			parts[i] = strings.TrimPrefix(pick(oddTargets[:110]), "/")
		}
		o.raw(pick([]string{o.node.port, o.port2, o.port3}), pick(oddMethods[:8]), "/"+strings.Join(parts, pick([]string{"/", "?", ".", "%2f", ""})), "1.1",
			"Host: "+pick([]string{"example.com", "EXAMPLE.com:8080", "[2001:db8::7]:80", "a_b.example", "xn--caf-dma.example", "10.0.0.1"}), pick(oddAgents))
	}
	for _, m := range oddMethods {
		o.raw(o.node.port, m, "/upstream", "1.1", "Host: example.com", "m")
		o.raw(o.port2, m, "/error/404", "1.1", "Host: example.com", "m")
		o.raw(o.port3, m, "/all/old?q", "1.1", "Host: example.com", "m")
	}
	o.raw(o.node.port, "OPTIONS", "*", "1.1", "Host: example.com", "star")
	o.raw(o.node.port, "CONNECT", "example.com:443", "1.1", "Host: example.com:443", "tunnel")
	o.raw(o.node.port, "GET", "/huge?"+strings.Repeat("q", 15<<10), "1.1", "Host: example.com", "-")
	o.raw(o.node.port, "GET", "/"+strings.Repeat("p", 15<<10), "1.1", "Host: example.com", "-")
	for _, a := range oddAgents {
		o.raw(o.node.port, "GET", "/agent", "1.1", "Host: example.com", a)
	}
	o.responses()
	o.aborted()
	o.streams()
	o.modern()
	o.direct()
	o.run()
}

// run sends what was queued, some at a time.
func (o *oddClient) run() {
	gate := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for _, f := range o.jobs {
		gate <- struct{}{}
		wg.Add(1)
		go func() {
			defer func() { <-gate; wg.Done() }()
			f()
		}()
	}
	wg.Wait()
}

// responses asks for every kind of status, with and without error routes.
func (o *oddClient) responses() {
	for _, port := range []string{o.node.port, o.port2} {
		for _, code := range []string{"200", "204", "206", "304", "307", "400", "401", "403", "404", "405", "410", "429", "500", "502", "503", "511", "999"} {
			o.raw(port, "GET", "/status/"+code, "1.1", "Host: example.com", "s")
			o.raw(port, "HEAD", "/status/"+code, "1.0", "", "s")
		}
		for _, scheme := range []string{"Basic", "basic", "Digest", "Digest,Basic", "Bearer,Digest", "Basically"} {
			o.raw(port, "GET", "/auth/"+scheme, "1.1", "Host: example.com", "s")
		}
		for _, path := range []string{"/dies", "/cut", "/gone", "/abort", "/hints", "/large", "/files/big.bin", "/private", "/error/404", "/error/418", "/error/500", "/error/502"} {
			o.raw(port, "GET", path, "1.1", "Host: example.com", "s")
			o.raw(port, "POST", path, "1.1", "Host: example.com\r\nContent-Length: 3", "s", "abc")
		}
		o.raw(port, "GET", "/private", "1.1", "Host: example.com\r\nAuthorization: Basic c29tZW9uZTp3cm9uZw==", "s")
		o.raw(port, "POST", "/body", "1.1", "Host: example.com\r\nExpect: 100-continue\r\nContent-Length: 3", "s", "abc")
		o.raw(port, "POST", "/body", "1.1", "Host: example.com\r\nTransfer-Encoding: chunked", "s", "3\r\nabc\r\n0\r\n\r\n")
		o.raw(port, "POST", "/body", "1.1", "Host: example.com\r\nTransfer-Encoding: chunked", "s", "zz\r\n")
	}
}

// raw queues an HTTP/1 request, byte for byte.
func (o *oddClient) raw(port, method, target, version, headers, agent string, body ...string) {
	client, canonical := o.client(fmt.Sprintf("HTTP/%s %s %.80q agent %.30q", version, method, target, agent))
	o.job(func() {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			o.t.Error(err)
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, head(method, target, version, headers, agent, client)+strings.Join(body, ""))
		answer, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			o.t.Errorf("%s %.80q: %v", method, target, err)
		}
		// Caddy names itself in Server, or in Via for what it proxied.
		if bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) && !bytes.Contains(answer, []byte("Caddy")) {
			o.refused(canonical)
		}
	})
}

func head(method, target, version, headers, agent, client string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n", method, target, version)
	if headers != "" {
		b.WriteString(headers + "\r\n")
	}
	if agent != "-" {
		b.WriteString("User-Agent: " + agent + "\r\n")
	}
	if client != "" {
		b.WriteString("X-Forwarded-For: " + client + "\r\n")
	}
	b.WriteString("Connection: close\r\n\r\n")
	return b.String()
}

// aborted clients go at every stage of a request.
func (o *oddClient) aborted() {
	for _, port := range []string{o.node.port, o.port2} {
		for range 8 {
			for _, path := range []string{"/slow", "/large", "/events", "/files/big.bin"} {
				client, _ := o.client("aborted " + path)
				o.job(func() { o.abort(port, path, client, "") })
			}
			client, _ := o.client("aborted upload")
			o.job(func() { o.abort(port, "/body", client, "Content-Length: 100000\r\n") })
		}
	}
}

// abort sends a request, reads what comes within a moment, and resets.
func (o *oddClient) abort(port, path, client, more string) {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		o.t.Error(err)
		return
	}
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: %s\r\n%s\r\npart", path, client, more)
	_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = c.Read(make([]byte, 100))
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// streams are upgraded connections and events.
func (o *oddClient) streams() {
	for i := range 8 {
		client, _ := o.client("websocket")
		o.job(func() {
			ws, _, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+o.node.port+"/socket?"+fmt.Sprint(i), http.Header{"X-Forwarded-For": {client}})
			if err != nil {
				o.t.Error(err)
				return
			}
			defer ws.Close()
			if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
				o.t.Error(err)
			}
			if _, b, err := ws.ReadMessage(); err != nil || string(b) != "hello" {
				o.t.Errorf("websocket: %q, %v", b, err)
			}
		})
		o.raw(o.node.port, "GET", fmt.Sprintf("/events?n=%d", i), "1.1", "Host: example.com", "sse")
	}
	o.raw(o.node.port, "GET", "/socket", "1.1", "Host: example.com", "no upgrade")
}

// modern sends over TLS: HTTP/2 and HTTP/3.
func (o *oddClient) modern() {
	conf := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true} // the node's own authority
	three := &http3.Transport{TLSClientConfig: conf}
	two := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	o.t.Cleanup(func() { three.Close(); two.CloseIdleConnections() })
	until(o.t, "there is a certificate", func() bool {
		c, err := tls.Dial("tcp", "localhost:"+o.tls, conf)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, rt := range []struct {
		name string
		http.RoundTripper
	}{{"HTTP/3.0", three}, {"HTTP/2.0", two}} {
		for i, path := range []string{"/", "/a?b", "/%2e%2e/x", "//x", "/a%00b", "/caf%C3%A9.css", "/status/404", "/auth/Basic", "/error/418", "/unhandled", "/hints", "/large", "/nothing",
			"/events?n=2", "/slow?d=50ms", "/body", "/files/page.html", "/a?q=%3F?x", "/" + strings.Repeat("h", 9000), "/private", "/zipped", "/gone", "/dies", "/cut"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				client, _ := o.client(fmt.Sprintf("%s %s %.80q", rt.name, method, path))
				agent := oddAgents[i%len(oddAgents)]
				o.job(func() { o.fetch(rt.RoundTripper, rt.name, method, path, client, agent) })
			}
		}
		for range 4 {
			client, _ := o.client(rt.name + " aborted")
			o.job(func() { o.leave(rt.RoundTripper, client) })
		}
	}
}

func (o *oddClient) fetch(rt http.RoundTripper, proto, method, path, client, agent string) {
	u, err := url.Parse("https://localhost:" + o.tls)
	if err != nil {
		o.t.Error(err)
		return
	}
	rest, query, asked := strings.Cut(path, "?")
	u.RawQuery, u.ForceQuery = query, asked && query == ""
	if u.Path, err = url.PathUnescape(rest); err != nil {
		o.t.Error(err)
		return
	}
	u.RawPath = rest
	r := &http.Request{Method: method, URL: u, Header: http.Header{"X-Forwarded-For": {client}}}
	if agent != "-" && strings.TrimSpace(agent) == agent && !strings.Contains(agent, "\xff") {
		r.Header.Set("User-Agent", agent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := rt.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if path != "/cut" {
			o.t.Errorf("%s %s %s: %v", proto, method, path, err)
		}
		return
	}
	defer resp.Body.Close()
	if resp.Proto != proto {
		o.t.Errorf("%s was spoken instead of %s", resp.Proto, proto)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // some bodies are cut short on purpose
}

// leave cancels a request that hangs.
func (o *oddClient) leave(rt http.RoundTripper, client string) {
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost:"+o.tls+"/slow?forever", nil)
	if err != nil {
		o.t.Error(err)
		return
	}
	r.Header.Set("X-Forwarded-For", client)
	if resp, err := rt.RoundTrip(r); err == nil {
		resp.Body.Close() // the answer to going away, which nobody waits for
	}
}

// direct requests come from the client itself, without a proxy's header.
func (o *oddClient) direct() {
	for _, ip := range []string{"::1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.1.2.3"} {
		o.about[ip] = "direct from " + ip
		o.job(func() {
			server := "127.0.0.1"
			if ip == "::1" {
				server = ip
			}
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
			c, err := d.Dial("tcp", net.JoinHostPort(server, o.node.port))
			if err != nil {
				o.t.Error(err)
				return
			}
			defer c.Close()
			// A client that is not trusted may write any header.
			_, _ = io.WriteString(c, head("GET", "/direct", "1.1", "Host: example.com", "x", "203.0.113.66"))
			_, _ = io.Copy(io.Discard, c)
		})
	}
}
