package localapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// streamed is an answer of the stream in short: "+ban 192.0.2.1 -ban 192.0.2.2".
func (b *booth) streamed(query string) string {
	b.tb.Helper()
	w := b.pull("/v1/decisions/stream?" + query)
	var p pulled
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
		b.tb.Fatalf("%s: %d %s: %v", query, w.Code, w.Body, err)
	}
	var out []string
	for _, d := range p.New {
		out = append(out, "+"+d.Type+" "+d.Value)
	}
	for _, d := range p.Deleted {
		out = append(out, "-"+d.Type+" "+d.Value)
	}
	return strings.Join(out, " ")
}

// expect fails unless the next answer is as wanted.
func (b *booth) expect(query, want string) {
	b.tb.Helper()
	if got := b.streamed(query); got != want {
		b.tb.Errorf("%s: told %q, want %q", b.clock.Now().Format("15:04:05"), got, want)
	}
}

func (b *booth) pass(d time.Duration) {
	b.clock.Advance(d)
	b.book.Expire(b.clock.Now())
}

// TestStreamTells: what happens to a value, and what bouncers hear of it.
func TestStreamTells(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.expect("startup=true", "")
	b.decide("ban", "Ip", "192.0.2.1", "1m")
	b.expect("", "+ban 192.0.2.1")
	b.decide("ban", "Ip", "192.0.2.1", "1h") // the same one goes on
	b.expect("", "+ban 192.0.2.1")
	b.pass(time.Minute + 3*time.Second) // when those that took no notice have dropped it
	b.expect("", "+ban 192.0.2.1")
	b.expect("", "")
	b.decide("captcha", "Ip", "192.0.2.1", "2h")
	b.expect("", "+captcha 192.0.2.1")
	b.sends(200, "DELETE", "/v1/decisions?type=ban", "")
	b.expect("", "-ban 192.0.2.1") // what is left waits
	b.expect("", "+captcha 192.0.2.1")
	b.expect("", "")
	b.sends(200, "DELETE", "/v1/decisions?type=captcha", "")
	b.decide("ban", "Ip", "192.0.2.1", "1h") // gone and back
	b.expect("", "-captcha 192.0.2.1")
	b.restart() // what was left out is not forgotten, and the last seconds are told again
	b.login()
	b.expect("", "-ban 192.0.2.1 -captcha 192.0.2.1")
	b.expect("", "+ban 192.0.2.1")
	b.sends(200, "DELETE", "/v1/alerts", "")
	b.expect("", "-ban 192.0.2.1")
	b.expect("", "")
}

// TestStreamLists: entries of lists come and go, beside decisions of our own.
func TestStreamLists(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.put("bad", "ban", time.Hour, "192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24")
	b.expect("startup=true", "+ban 192.0.2.1 +ban 192.0.2.2 +ban 198.51.100.0/24")
	b.decide("ban", "Ip", "192.0.2.1", "2h")
	b.decide("captcha", "Ip", "192.0.2.2", "2h")
	b.expect("", "+ban 192.0.2.1 +captcha 192.0.2.2")
	b.clock.Advance(time.Second)
	b.put("bad", "ban", time.Hour, "192.0.2.3/32", "198.51.100.0/24")
	b.expect("", "+ban 192.0.2.3 -ban 192.0.2.2") // the first is banned still
	b.expect("", "+ban 192.0.2.1 +captcha 192.0.2.2")
	b.expect("", "")
	b.must(b.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("192.0.2.0/30")}))
	got := strings.Fields(strings.ReplaceAll(b.streamed(""), " 192", "@192"))
	if slices.Sort(got); strings.Join(got, " ") != "-ban@192.0.2.1 -ban@192.0.2.3 -captcha@192.0.2.2" {
		t.Errorf("allowed: %s", got)
	}
	b.expect("startup=true&origins=lists", "+ban 198.51.100.0/24")
	b.must(b.book.DropList("bad"))
	b.expect("", "-ban 198.51.100.0/24")
	b.expect("", "")
}

// TestStreamOwesMuch: where more is left of values than a cursor keeps, all is told
// again.
func TestStreamOwesMuch(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	now := b.clock.Now()
	const n = 4000
	var ds []decisions.Decision
	for i := range n {
		for _, kind := range []string{"ban", "captcha"} {
			ds = append(ds, decisions.Decision{Scope: "Ip", Value: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Type: kind, Origin: "cscli",
				Scenario: "s", Until: now.Add(time.Hour)})
		}
	}
	b.must(b.book.Append(nil, ds))
	b.streamed("startup=true")
	_, err := b.book.DeleteQuery(decisions.Query{Types: []string{"ban"}}, "test")
	b.must(err)
	if got := b.streamed(""); strings.Count(got, "-ban") != n || strings.Contains(got, "+") {
		t.Errorf("%d ended, %d new", strings.Count(got, "-ban"), strings.Count(got, "+"))
	}
	if got := b.streamed(""); strings.Count(got, "+captcha") != n || strings.Contains(got, "-") {
		t.Errorf("%d ended, %d new", strings.Count(got, "-"), strings.Count(got, "+captcha"))
	}
	b.expect("", "")
}

// TestStreamFilters: each bouncer hears what it asked for, and of what it did not ask
// for nothing lasts longer.
func TestStreamFilters(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	now := b.clock.Now()
	b.must(b.book.Append(nil, []decisions.Decision{
		{Scope: "Ip", Value: "192.0.2.1", Type: "ban", Origin: "cscli", Scenario: "x/a", Until: now.Add(time.Hour)},
		{Scope: "Ip", Value: "192.0.2.1", Type: "ban", Origin: "crowdsec", Scenario: "x/b", Until: now.Add(2 * time.Hour)},
		{Scope: "Country", Value: "FR", Type: "ban", Origin: "crowdsec", Scenario: "x/b", Until: now.Add(2 * time.Hour)},
		{Scope: "Ip", Value: "192.0.2.9", Type: "ban", Origin: "crowdsec", Scenario: "x/sim", Until: now.Add(time.Hour), Simulated: true},
	}))
	for query, want := range map[string]string{
		"":                               "+ban 192.0.2.1",
		"dedup=false":                    "+ban 192.0.2.1 +ban 192.0.2.1",
		"origins=cscli":                  "+ban 192.0.2.1",
		"scenarios_containing=X/A":       "+ban 192.0.2.1",
		"scenarios_not_containing=x":     "",
		"type=captcha":                   "",
		"scopes=country":                 "+ban FR",
		"simulated=true&value=192.0.2.9": "+ban 192.0.2.9",
		"ip=192.0.2.1&startup=maybe":     "",
		"range=192.0.2.0/24&contains=false&limit=0&id_gt=9": "+ban 192.0.2.1",
	} {
		if query == "ip=192.0.2.1&startup=maybe" { // not to the letter: a delta
			b.streamed("startup=true")
			b.expect(query, want)
			continue
		}
		b.expect(query+"&startup=true", want)
	}
	var p pulled
	b.must(json.Unmarshal(b.pull("/v1/decisions/stream?startup=true&origins=cscli").Body.Bytes(), &p))
	if p.New[0].ID != 1 || p.New[0].UUID == "" {
		t.Errorf("%+v", p.New)
	}
	b.streamed("startup=true&origins=cscli")
	b.sends(200, "DELETE", "/v1/decisions/1", "")
	b.expect("origins=cscli", "-ban 192.0.2.1") // though another one of crowdsec's is left
	for _, query := range []string{"ip=x", "contains=x", "origins=", "type=ban;value=x"} {
		if w := b.pull("/v1/decisions/stream?" + query); w.Code != 400 {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

// broken is a client that goes away after some bytes.
type broken struct {
	*httptest.ResponseRecorder
	left int
}

func (w *broken) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return w.ResponseRecorder.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *broken) FlushError() error {
	if w.left < 0 {
		return io.ErrClosedPipe
	}
	return nil
}

// TestStreamCursor: it goes on only when all was told.
func TestStreamCursor(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.streamed("startup=true")
	for i := range 2000 {
		b.must(b.book.Append(nil, []decisions.Decision{{Scope: "Ip", Value: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Type: "ban",
			Origin: "cscli", Scenario: "s", Until: b.clock.Now().Add(time.Hour)}}))
	}
	for _, left := range []int{0, 1000, 100_000} {
		r := httptest.NewRequest("GET", "/v1/decisions/stream", http.NoBody)
		r.Header.Set("X-Api-Key", boothKey)
		r.Header.Set("User-Agent", "test/1.0")
		r.RemoteAddr = "127.0.0.1:1"
		b.handler.ServeHTTP(&broken{httptest.NewRecorder(), left}, r)
	}
	if got := strings.Count(b.streamed(""), "+ban"); got != 2000 {
		t.Errorf("%d told after answers that broke off", got)
	}
	b.expect("", "")
}

// fault is a sink that fails after some decisions.
type fault struct {
	*streamPage
	left int
}

func (f *fault) add(fo form, write func([]byte) []byte) error {
	if f.left--; f.left < 0 {
		return errors.New("no more")
	}
	return f.streamPage.add(fo, write)
}

// TestStreamEndsWell: an error in the middle leaves JSON that can be read.
func TestStreamEndsWell(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	var ps []string
	for i := range 3000 {
		ps = append(ps, fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255))
	}
	b.put("many", "ban", time.Hour, ps...)
	w := httptest.NewRecorder()
	c := &call{s: b.server, w: w, r: httptest.NewRequest("GET", "/", http.NoBody), now: b.clock.Now()}
	sel, err := readStream(nil)
	b.must(err)
	page := newStreamPage(c)
	_, err = newTelling(b.server, sel, Cursor{}, &fault{page, 2000}).tell()
	if err = page.close(err); err == nil {
		t.Error("the caller's cursor would go on")
	}
	var p pulled
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.New) != 2000 || p.Deleted == nil {
		t.Errorf("%d new, %v", len(p.New), err)
	}
}
