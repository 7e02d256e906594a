package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// waiting waits until as many calls wait for news.
func (b *booth) waiting(n int32) {
	b.tb.Helper()
	for end := time.Now().Add(patience); b.server.streams.waiting.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.tb.Fatalf("%d calls wait, want %d", b.server.streams.waiting.Load(), n)
		}
	}
}

// TestWait: a call that waits is answered when there is something for it, and no
// sooner; when the server closes it is answered at once.
func TestWait(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.login()
	const uri = "/v1/decisions/stream?wait=60"
	if got := b.pull(uri).Body.String(); got != `{"new": [], "deleted": []}` {
		t.Fatalf("the first call does not wait: %s", got)
	}
	answer := make(chan string, 1)
	ask := func() { answer <- b.pull(uri).Body.String() }
	go ask()
	b.waiting(1)
	b.decide("ban", "Country", "FR", "1h") // not of a scope that is asked for
	b.decide("ban", "Ip", "192.0.2.1", "1h")
	select {
	case got := <-answer:
		if !strings.Contains(got, "192.0.2.1") || strings.Contains(got, "FR") {
			t.Errorf("told %s", got)
		}
	case <-time.After(patience):
		t.Fatal("never told")
	}
	b.waiting(0)
	go ask()
	b.waiting(1)
	b.must(b.server.Close())
	select {
	case got := <-answer:
		if got != `{"new": [], "deleted": []}` {
			t.Errorf("told %s", got)
		}
	case <-time.After(patience):
		t.Fatal("Close did not wake who waits")
	}
}

// TestWaitIsBounded: waits that cannot be are refused, and where too many wait the
// others are answered at once.
func TestWaitIsBounded(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	for _, wait := range []string{"-1", "x", "1.5", "99999999999"} {
		if w := b.pull("/v1/decisions/stream?wait=" + wait); w.Code != 400 {
			t.Errorf("%s: %d", wait, w.Code)
		}
	}
	b.pull("/v1/decisions/stream")
	b.server.streams.waiting.Store(maxWaiting)
	began := time.Now()
	if w := b.pull("/v1/decisions/stream?wait=60"); w.Code != 200 || time.Since(began) > 30*time.Second {
		t.Errorf("%d after %v", w.Code, time.Since(began))
	}
	if w := b.pull(eventsPath); w.Code != 503 {
		t.Errorf("events: %d %s", w.Code, w.Body)
	}
	b.waiting(maxWaiting)
}

// events reads server-sent events.
type events struct {
	t     *testing.T
	lines *bufio.Scanner
}

// next is the next event.
func (e *events) next() (p pulled) {
	e.t.Helper()
	for e.lines.Scan() {
		if data, ok := strings.CutPrefix(e.lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				e.t.Fatalf("%q: %v", data, err)
			}
			return p
		}
	}
	e.t.Fatalf("no event any more: %v", e.lines.Err())
	return p
}

// TestEvents: a caller that listens hears all that is in force in events of bounded
// size, then every change; what is left of a value comes in the event after its end.
func TestEvents(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.login()
	const n = 2*eventSize + 5
	prefixes := make([]string, n)
	for i := range prefixes {
		prefixes[i] = fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255)
	}
	b.put("many", "ban", time.Hour, prefixes...)
	site := httptest.NewUnstartedServer(b.handler)
	const short = 100 * time.Millisecond // deadlines of a connection do not end it
	site.Config.ReadTimeout, site.Config.WriteTimeout = short, short
	site.Start()
	defer site.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site.URL+eventsPath+"?startup=true", nil)
	b.must(err)
	r.Header.Set("X-Api-Key", boothKey)
	w, err := site.Client().Do(r)
	b.must(err)
	defer func() { _ = w.Body.Close() }()
	if got := w.Header.Get("Content-Type"); w.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", w.StatusCode, got)
	}
	e := &events{t, bufio.NewScanner(w.Body)}
	e.lines.Buffer(nil, 1<<20)
	for _, want := range []int{eventSize, eventSize, 5} {
		if p := e.next(); len(p.New) != want || len(p.Deleted) != 0 {
			t.Fatalf("%d new in an event, want %d", len(p.New), want)
		}
	}
	time.Sleep(3 * short)
	b.decide("ban", "Ip", "192.0.2.1", "1h")
	if p := e.next(); len(p.New) != 1 || p.New[0].Value != "192.0.2.1" {
		t.Fatalf("%+v", p)
	}
	b.decide("captcha", "Ip", "192.0.2.1", "1h")
	if p := e.next(); len(p.New) != 1 || p.New[0].Type != "captcha" {
		t.Fatalf("%+v", p)
	}
	b.sends(200, "DELETE", "/v1/decisions?value=192.0.2.1&type=ban", "")
	if p := e.next(); len(p.New) != 0 || len(p.Deleted) != 1 || p.Deleted[0].Type != "ban" {
		t.Fatalf("%+v", p)
	}
	if p := e.next(); len(p.Deleted) != 0 || len(p.New) != 1 || p.New[0].Type != "captcha" {
		t.Fatalf("%+v", p)
	}
}
