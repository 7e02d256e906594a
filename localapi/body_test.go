package localapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func gzipped(t testing.TB, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestBodies(t *testing.T) {
	d := newDesk(t)
	const limit = 300_000
	d.with(route{"POST", "/b", open, limit, func(c *call) error {
		b, err := c.body()
		if err != nil {
			return err
		}
		return c.json(200, len(b))
	}})
	zip := header("Content-Encoding", "gzip")
	bomb := gzipped(t, make([]byte, 100<<20))
	for _, c := range []struct {
		name, body string
		asks       []ask
		want       int
		answer     string
	}{
		{"plain", "hello", nil, 200, "5"},
		{"none", "", nil, 200, "0"},
		{"gzip", gzipped(t, []byte("hello")), []ask{zip}, 200, "5"},
		{"GZIP", gzipped(t, []byte("hello")), []ask{header("Content-Encoding", "GZIP")}, 200, "5"},
		{"identity", "hello", []ask{header("Content-Encoding", "identity")}, 200, "5"},
		{"most", strings.Repeat("x", limit), nil, 200, "300000"},
		{"most, gzip", gzipped(t, bytes.Repeat([]byte("x"), limit)), []ask{zip}, 200, "300000"},
		{"more", strings.Repeat("x", limit+1), nil, 413, `{"message":"body is longer than 300000 bytes"}`},
		{"more, gzip", gzipped(t, bytes.Repeat([]byte("x"), limit+1)), []ask{zip}, 413, `{"message":"body is longer than 300000 bytes"}`},
		{"bomb", bomb, []ask{zip}, 413, `{"message":"body is longer than 300000 bytes"}`},
		{"not gzip", "hello", []ask{zip}, 400, `{"message":"body: unexpected EOF"}`},
		{"not gzip either", "hello, hello, hello", []ask{zip}, 400, `{"message":"body: gzip: invalid header"}`},
		{"cut gzip", gzipped(t, []byte("hello"))[:20], []ask{zip}, 400, `{"message":"body: unexpected EOF"}`},
		{"twice", "hello", []ask{header("Content-Encoding", "gzip, gzip")}, 415, `{"message":"content encoding \"gzip, gzip\" is not known, gzip is"}`},
	} {
		if a := d.do("POST", "/b", c.body, c.asks...); a.status != c.want || a.body != c.answer {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	if used := d.server.openBodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are held after all calls", used)
	}
	d.server.openBodies.limit = limit
	d.server.openBodies.used.Store(limit - smallBody)
	d.do("POST", "/b", gzipped(t, []byte("small")), zip).want(t, 200, "5")
	if a := d.do("POST", "/b", strings.Repeat("x", smallBody+1)); a.status != 503 || a.header.Get("Retry-After") != "5" {
		t.Errorf("over the server's budget: %d %s", a.status, a.body)
	}
}

// TestSlowBodies: while large bodies that come slowly take all room there is for them,
// machines log in.
func TestSlowBodies(t *testing.T) {
	d := newDesk(t)
	d.must(d.registry.AddMachine("m", "secret", false))
	d.server.openBodies.limit = 3 * maxOpenBody
	var ends []*io.PipeWriter
	answers := make(chan int, 3)
	for range cap(answers) {
		body, slow := io.Pipe()
		ends = append(ends, slow)
		go func() {
			r := httptest.NewRequest("POST", "/v1/watchers/login", body)
			r.ContentLength = maxOpenBody
			w := httptest.NewRecorder()
			d.handler.ServeHTTP(w, r)
			answers <- w.Code
		}()
		if _, err := slow.Write(make([]byte, maxOpenBody-1)); err != nil { // returns when it was read
			t.Fatal(err)
		}
	}
	if a := d.do("POST", "/v1/watchers/login", strings.Repeat(" ", smallBody+1)); a.status != 503 {
		t.Errorf("one more: %d %s", a.status, a.body)
	}
	d.login("m", "secret")
	for _, slow := range ends {
		d.must(slow.Close())
		if got := <-answers; got != 401 {
			t.Errorf("a slow one: %d", got)
		}
	}
	if open, small := d.server.openBodies.used.Load(), d.server.smallBodies.used.Load(); open != 0 || small != 0 {
		t.Errorf("%d and %d bytes are held after all calls", open, small)
	}
}

// TestBodyLimits: who may not log in sends no more than 2 MiB, however it is packed.
func TestBodyLimits(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/v1/watchers", "/v1/watchers/login"} {
		long := `{"machine_id":"` + strings.Repeat("x", maxOpenBody) + `"}`
		if a := d.do("POST", path, long); a.status != 413 {
			t.Errorf("%s: %d", path, a.status)
		}
		if a := d.do("POST", path, gzipped(t, []byte(long)), header("Content-Encoding", "gzip")); a.status != 413 {
			t.Errorf("%s, gzip: %d", path, a.status)
		}
	}
}

func TestPanics(t *testing.T) {
	d := newDesk(t)
	fall := func(c *call) error {
		var none *Bouncer
		return fmt.Errorf("never %s", none.Name)
	}
	d.with(route{"GET", "/p", open, 0, fall}, route{"GET", "/q", open, 0, func(c *call) error {
		_, _ = c.w.Write([]byte("half"))
		if err := http.NewResponseController(c.w).Flush(); err != nil {
			return err
		}
		return fall(c)
	}})
	srv := httptest.NewServer(d.handler)
	defer srv.Close()
	get := func(path string) (int, string, error) {
		r, err := http.NewRequestWithContext(context.Background(), "GET", srv.URL+path, nil)
		d.must(err)
		res, err := srv.Client().Do(r)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	for range 3 {
		if status, body, err := get("/p"); status != 500 || body != `{"message":"internal error"}` || err != nil {
			t.Errorf("%d %s %v", status, body, err)
		}
	}
	if _, body, err := get("/q"); err == nil {
		t.Errorf("half an answer was taken for a whole one: %q", body)
	}
	if status, _, err := get("/health"); status != 200 || err != nil {
		t.Errorf("afterwards: %d %v", status, err)
	}
	if n := d.logs.FilterMessageSnippet("handler of the Local API failed").Len(); n != 2 {
		t.Errorf("logged %d times, want once for each route", n)
	}
	if got := d.server.Stats().Panics; got != 4 {
		t.Errorf("%d panics counted", got)
	}
}

func TestStats(t *testing.T) {
	d := newDesk(t)
	_, r := d.seen()
	d.with(r)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	tok := d.login("m", "pw")
	for range 2 {
		d.do("GET", "/t", "", key(k))
	}
	d.do("GET", "/t", "", key("wrong"))
	d.do("GET", "/v1/heartbeat", "", token(tok))
	d.do("GET", "/health", "")
	for i := range 500 {
		d.do("GET", fmt.Sprint("/v1/x", i), "")
		d.do(fmt.Sprint("M", i), "/v1/heartbeat", "")
	}
	d.server.stats.lookup("fw", true)
	d.server.stats.lookup("fw", false)
	d.server.stats.lookup("fw", false)
	s := d.server.Stats()
	if got := fmt.Sprint(s.Routes); got != "[{/t GET 3} {/v1/heartbeat GET 1} {/v1/watchers/login POST 1} {invalid-endpoint GET 500} {invalid-endpoint other 500}]" {
		t.Error(got)
	}
	if got := fmt.Sprint(s.Bouncers, s.Machines, s.Lookups); got != "[{fw /t GET 2}] [{m /v1/heartbeat GET 1}] [{fw 1 2}]" {
		t.Error(got)
	}
	for _, h := range s.Durations {
		var n uint64
		for _, b := range h.Buckets {
			n += b
		}
		if n > h.Count || h.Count == 0 || h.Sum <= 0 || h.Route == healthPattern {
			t.Errorf("%+v", h)
		}
	}
	for i := range maxCallers + 10 {
		d.server.stats.called(&call{bouncer: &Bouncer{Name: fmt.Sprint("b", i)}, route: &r})
		d.server.stats.lookup(fmt.Sprint("b", i), true)
	}
	if s := d.server.Stats(); len(s.Bouncers) != maxCallers+1 || len(s.Lookups) != maxCallers+1 {
		t.Errorf("%d figures by bouncer, %d lookups", len(s.Bouncers), len(s.Lookups))
	}
}

func TestServerClose(t *testing.T) {
	d := newDesk(t)
	inside := make(chan struct{})
	d.with(route{"GET", "/wait", open, 0, func(c *call) error {
		close(inside)
		<-c.s.closed
		return c.empty(204)
	}})
	done := make(chan int)
	go func() { done <- d.do("GET", "/wait", "").status }()
	<-inside
	d.must(d.server.Close())
	if got := <-done; got != 204 {
		t.Errorf("the call under way: %d", got)
	}
	if a := d.do("GET", "/health", ""); a.status != 503 {
		t.Errorf("after Close: %d", a.status)
	}
}

// TestManyValues: a body whose decoding would take many times its length is refused,
// and open routes leave room to the others.
func TestManyValues(t *testing.T) {
	d := newDesk(t)
	read := func(c *call) error {
		b, err := c.body()
		if err != nil {
			return err
		}
		return c.json(200, len(b))
	}
	d.must(d.registry.AddMachine("m", "secret", false))
	bearing := token(d.login("m", "secret"))
	d.with(route{"POST", "/open", open, maxBody, read}, route{"POST", "/machine", machine, maxBody, read})
	for _, c := range []struct {
		name, body string
		want       int
	}{
		{"as many as may be", "[" + strings.Repeat("0,", maxValues-2) + "0]", 200},
		{"numbers", "[" + strings.Repeat("0,", maxValues) + "0]", 413},
		{"objects", "[" + strings.Repeat("{},", maxValues/2) + "{}]", 413},
		{"text", `["` + strings.Repeat(`,\"{`, maxValues) + `"]`, 200},
	} {
		if a := d.do("POST", "/machine", c.body, bearing); a.status != c.want {
			t.Errorf("%s: %d %.100s, want %d", c.name, a.status, a.body, c.want)
		}
	}
	if used := d.server.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are in flight after all", used)
	}
	d.server.openBodies.used.Store(d.server.openBodies.limit)
	d.server.smallBodies.used.Store(d.server.smallBodies.limit)
	if a := d.do("POST", "/open", "[]"); a.status != 503 {
		t.Errorf("an open route over its budget: %d", a.status)
	}
	if a := d.do("POST", "/machine", "[]", bearing); a.status != 200 {
		t.Errorf("a machine while open routes have no room: %d %s", a.status, a.body)
	}
}
