package localapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

// desk is a server with a registry on disk, on a clock that the test moves.
type desk struct {
	testing.TB
	clock    *testkit.Clock
	dir      string
	db       *store.DB
	registry *Registry
	server   *Server
	handler  http.Handler
	logs     *observer.ObservedLogs
	secret   []byte
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	d := &desk{TB: t, clock: testkit.NewClock(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)), dir: t.TempDir(),
		logs: logs, secret: []byte(strings.Repeat("s", 64))}
	d.open(zap.New(core))
	t.Cleanup(d.close)
	return d
}

func (d *desk) open(logger *zap.Logger) {
	d.Helper()
	db, err := store.Open(d.dir, store.Options{})
	d.must(err)
	d.db = db
	d.registry, err = OpenRegistry(NewStore(db), d.clock.Now, logger)
	d.must(err)
	d.server = New(Options{Registry: d.registry, Secret: func() []byte { return d.secret }, Version: "test",
		Now: d.clock.Now, Logger: logger})
	d.handler = d.server.Handler(true, nil)
}

func (d *desk) close() {
	d.must(d.server.Close())
	d.must(d.registry.Close())
	d.must(d.db.Close())
}

// restart closes all, as a clean stop does, and opens it again.
func (d *desk) restart() {
	d.Helper()
	d.close()
	d.open(zap.NewNop())
}

// with adds routes to those of the server.
func (d *desk) with(rs ...route) {
	d.server.mux = newMux(append(routes(), rs...))
}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// ask changes a request before it is sent.
type ask func(*http.Request)

func header(name, value string) ask { return func(r *http.Request) { r.Header.Set(name, value) } }

func key(k string) ask { return header("X-Api-Key", k) }

func token(t string) ask { return header("Authorization", "Bearer "+t) }

func from(addr string) ask { return func(r *http.Request) { r.RemoteAddr = addr } }

func userAgent(ua string) ask { return header("User-Agent", ua) }

// answered is what came back.
type answered struct {
	status int
	header http.Header
	body   string
}

func (d *desk) do(method, path, body string, asks ...ask) answered {
	d.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header.Set("User-Agent", "test/1.0")
	for _, a := range asks {
		a(r)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	d.must(err)
	return answered{w.Code, w.Result().Header, string(b)}
}

// want fails unless the answer is this one.
func (a answered) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Fatalf("got %d %q, want %d %q", a.status, a.body, status, body)
	}
}

// login logs in and returns the token.
func (d *desk) login(name, password string, asks ...ask) string {
	d.Helper()
	body, err := json.Marshal(map[string]any{"machine_id": name, "password": password, "scenarios": []string{"a/b"}})
	d.must(err)
	a := d.do("POST", "/v1/watchers/login", string(body), asks...)
	var got struct {
		Code          int
		Token, Expire string
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.Code != 200 {
		d.Fatalf("login: %d %s", a.status, a.body)
	}
	if end, err := time.Parse(time.RFC3339, got.Expire); err != nil || !end.Equal(d.clock.Now().Add(time.Hour)) {
		d.Fatalf("token ends %q", got.Expire)
	}
	return got.Token
}

// bouncers are the names of the rows.
func (d *desk) bouncers() string {
	var names []string
	for _, b := range d.registry.Bouncers() {
		names = append(names, b.Name)
	}
	return strings.Join(names, " ")
}

// row is a bouncer's row.
func (d *desk) row(name string) Bouncer {
	d.Helper()
	for _, b := range d.registry.Bouncers() {
		if b.Name == name {
			return b
		}
	}
	d.Fatalf("no bouncer %q among %s", name, d.bouncers())
	return Bouncer{}
}

// call is what a bouncer's route of a test saw.
func (d *desk) seen() (*Bouncer, route) {
	got := &Bouncer{}
	return got, route{http.MethodGet, "/t", bouncer, 0, func(c *call) error {
		*got = *c.bouncer
		return c.empty(http.StatusOK)
	}}
}
