package localapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

const (
	boothKey      = "fwkey1234567890"
	boothMachine  = "testmachine"
	boothPassword = "testpassword"
	boothToken    = "0123456789abcdef0123456789abcdef"
)

// boothStart is when the booth's clock begins.
var boothStart = time.Date(2026, 11, 23, 11, 55, 0, 0, time.UTC)

// booth is a server with all that it needs, one bouncer and one machine.
type booth struct {
	tb       testing.TB
	dir      string
	clock    *testkit.Clock
	options  decisions.BookOptions
	db       *store.DB
	book     *decisions.Book
	registry *Registry
	server   *Server
	handler  http.Handler
	token    string        // of the machine, once it logged in
	told     []event.Alert // what Recorded heard of
}

// openBooth opens one whose profiles are the default ones.
func openBooth(tb testing.TB, o decisions.BookOptions) *booth {
	tb.Helper()
	b := &booth{tb: tb, dir: tb.TempDir(), clock: testkit.NewClock(boothStart), options: o}
	b.open()
	tb.Cleanup(b.close)
	b.must(b.registry.AddMachine(boothMachine, boothPassword, false))
	b.bouncer("fw-bouncer", boothKey)
	return b
}

func (b *booth) must(err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatal(err)
	}
}

func (b *booth) open() {
	b.tb.Helper()
	var err error
	b.db, err = store.Open(b.dir, store.Options{})
	b.must(err)
	o := b.options
	o.DB, o.Now, o.Logger = b.db, b.clock.Now, zaptest.NewLogger(b.tb, zaptest.Level(zap.ErrorLevel))
	b.book, err = decisions.OpenBook(o)
	b.must(err)
	b.registry, err = OpenRegistry(NewStore(b.db), b.clock.Now, zap.NewNop())
	b.must(err)
	profiles, err := decisions.LoadProfiles("profiles.yaml", decisions.DefaultProfiles(),
		expression.New(expression.Options{Decisions: b.book, Now: b.clock.Now}))
	b.must(err)
	b.server = New(Options{
		Book: b.book, Registry: b.registry, Judge: profiles.Judge, Record: b.book.Append, Recorded: b.recorded,
		Secret: func() []byte { return []byte(strings.Repeat("secret", 8)) }, Version: "test", Now: b.clock.Now, Logger: zap.NewNop(),
	})
	b.server.Use(Config{AutoToken: boothToken, AutoRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	b.handler = b.server.Handler(true, nil)
}

func (b *booth) recorded(a *event.Alert, _ []decisions.Decision, _ []decisions.Match) {
	b.told = append(b.told, *a)
}

func (b *booth) close() {
	b.must(b.server.Close())
	b.must(b.registry.Close())
	b.must(b.book.Close())
	b.must(b.db.Close())
}

// restart closes everything and opens it again.
func (b *booth) restart() {
	b.tb.Helper()
	b.close()
	b.open()
}

func (b *booth) bouncer(name, key string) {
	b.tb.Helper()
	_, err := b.registry.AddBouncer(name, key)
	b.must(err)
}

// login has the machine log in.
func (b *booth) login() {
	b.tb.Helper()
	w := b.do("POST", "/v1/watchers/login", fmt.Sprintf(`{"machine_id":%q,"password":%q,"scenarios":[]}`, boothMachine, boothPassword))
	var answer struct{ Token string }
	b.must(json.Unmarshal(w.Body.Bytes(), &answer))
	if b.token = answer.Token; b.token == "" {
		b.tb.Fatalf("login: %d %s", w.Code, w.Body)
	}
}

// do sends a request from loopback, with "Key: value" headers, or from the address that
// "Peer" tells. Without one of those
// that tell who calls, it is the machine if it has logged in.
func (b *booth) do(method, uri, body string, headers ...string) *httptest.ResponseRecorder {
	b.tb.Helper()
	r := httptest.NewRequestWithContext(b.tb.Context(), method, uri, io.Reader(strings.NewReader(body)))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("User-Agent", "test/1.0")
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		if key == "Peer" {
			r.RemoteAddr = value + ":4711"
			continue
		}
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// pull is a GET of the first bouncer's.
func (b *booth) pull(uri string) *httptest.ResponseRecorder {
	b.tb.Helper()
	return b.do("GET", uri, "", "X-Api-Key: "+boothKey)
}

// sends is do of the machine's, which logs in first if it has to; the status must be
// as wanted. It returns the body.
func (b *booth) sends(status int, method, uri, body string) string {
	b.tb.Helper()
	if b.token == "" {
		b.login()
	}
	w := b.do(method, uri, body)
	if w.Code != status {
		b.tb.Fatalf("%s %s: %d %s, want %d", method, uri, w.Code, w.Body, status)
	}
	return w.Body.String()
}

// ban is a decision as people send it.
func (b *booth) manual(kind, scope, value, duration string) string {
	now := b.clock.Now().Format(time.RFC3339)
	reason := fmt.Sprintf("manual '%s' from '%s'", kind, boothMachine)
	return fmt.Sprintf(`[{"capacity":0,"created_at":%[1]q,"decisions":[{"duration":%[2]q,"origin":"cscli","scenario":%[3]q,"scope":%[4]q,`+
		`"type":%[5]q,"value":%[6]q}],"events":[],"events_count":1,"kind":"cscli","labels":null,"leakspeed":"0","message":%[3]q,`+
		`"remediation":true,"scenario":%[3]q,"scenario_hash":"","scenario_version":"","simulated":false,`+
		`"source":{"ip":%[6]q,"scope":%[4]q,"value":%[6]q},"start_at":%[1]q,"stop_at":%[1]q}]`, now, duration, reason, scope, kind, value)
}

// decide has the machine send one.
func (b *booth) decide(kind, scope, value, duration string) {
	b.tb.Helper()
	b.sends(201, "POST", "/v1/alerts", b.manual(kind, scope, value, duration))
}

// wireDecision is a decision as a bouncer reads it.
type wireDecision struct {
	Duration, Origin, Scenario, Scope, Type, Value, UUID string
	ID                                                   int64
}

// pulled is an answer of the stream.
type pulled struct{ New, Deleted []wireDecision }
