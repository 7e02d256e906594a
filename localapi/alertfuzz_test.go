package localapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// FuzzAlerts: whatever is sent as alerts, the answer is one of those promised, nobody
// who is not an address is banned, no end is absurd, and what was recorded can be read
// back as JSON.
func FuzzAlerts(f *testing.F) {
	good := encoded(f, []any{against("Ip", "192.0.2.1", "1h"), sent(map[string]any{"events": []any{map[string]any{"meta": []any{nil}}}})})
	for _, seed := range []string{
		good, "[]", "[null]", "[{}]", "{}", "", "[1]", strings.Replace(good, "1h", "-9223372036854775808ns", 1),
		strings.Replace(good, "192.0.2.1", "0.0.0.0/0", 2), strings.Replace(good, `"capacity":5`, `"capacity":1e99`, 1),
		strings.Replace(good, "1h", "106751d", 1), strings.Replace(good, `"Ip"`, `"\u0000"`, 1), strings.Replace(good, "2026-", "9999-", 4),
		strings.Replace(good, `"message":"m"`, `"message":"\ud800"`, 1), strings.Repeat("[", 10000), good + good,
	} {
		f.Add(seed)
	}
	b := openBooth(f, decisions.BookOptions{MaxAlerts: 50, MaxDecisions: 200})
	b.login()
	f.Fuzz(func(t *testing.T, body string) {
		one := *b
		one.tb = t
		w := one.do("POST", "/v1/alerts", body)
		var ids []string
		var failure struct{ Message string }
		switch w.Code {
		case http.StatusCreated:
			if err := json.Unmarshal(w.Body.Bytes(), &ids); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
		case http.StatusBadRequest:
			if err := json.Unmarshal(w.Body.Bytes(), &failure); err != nil || failure.Message == "" {
				t.Fatalf("%s: %v", w.Body, err)
			}
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, id := range ids {
			w := one.do("GET", "/v1/alerts/"+id, "")
			if w.Code == http.StatusNotFound {
				continue // evicted: there are few
			}
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("alert %s: %d %q", id, w.Code, w.Body)
			}
		}
		for d := range one.book.Query(decisions.Query{Simulated: true}) {
			if p := d.Prefix(); (d.Scope == "Ip" || d.Scope == "Range") && (!p.IsValid() || p.Bits() < 8) {
				t.Fatalf("decision against %q", d.Value)
			}
			if d.Until.Year() > boothStart.Year()+293 {
				t.Fatalf("decision until %s", d.Until)
			}
		}
		if w := one.pull("/v1/decisions/stream?startup=true&simulated=true&scopes=ip,range,country,as"); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("stream: %d %q", w.Code, w.Body)
		}
		if _, err := one.book.DeleteQuery(decisions.Query{Simulated: true}, "fuzz"); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzQueries: whatever a query string says, it is answered or refused, and a decision
// that a selection finds in force is one that it wants of the stream.
func FuzzQueries(f *testing.F) {
	for _, seed := range []string{
		"", "ip=10.0.0.1", "range=10.0.0.0/8&contains=false", "scopes=ip,Range&origins=cscli,lists&type=ban", "limit=1&offset=2&id_gt=3",
		"scenarios_containing=A,b&scenarios_not_containing=c", "simulated=true&value=10.0.0.1", "since=1d&until=-1h&created_before=0s",
		"has_active_decision=true&include_capi=false&with_decisions=false&sort=ASC", "ip=::ffff:10.0.0.1%25eth0", "%zz", "a;b", "wait=9", "uuid=x&uuid=y",
		"limit=9223372036854775807&offset=9223372036854775807", "since=106751d23h",
	} {
		f.Add(seed)
	}
	b := openBooth(f, decisions.BookOptions{})
	b.login()
	now := b.clock.Now()
	ds := []decisions.Decision{}
	for i, scope := range []string{"Ip", "Ip", "Range", "Country", "AS", "user"} {
		ds = append(ds, decisions.Decision{Scope: scope, Value: []string{"10.0.0.1", "2001:db8::1", "10.0.0.0/16", "FR", "64500", "bob"}[i],
			Type: []string{"ban", "captcha"}[i%2], Origin: []string{"cscli", "crowdsec"}[i%2], Scenario: fmt.Sprint("x/", i), Simulated: i == 1,
			Until: now.Add(time.Hour)})
	}
	b.must(b.book.Append(nil, ds))
	f.Fuzz(func(t *testing.T, query string) {
		if v, err := url.ParseQuery(query); err == nil {
			if sel, err := readSelection(v); err == nil {
				checkSelection(t, b.book, sel, query)
			}
			_, _ = readDeletion(v)
			_, _ = readWait(v)
		}
		one := *b
		one.tb = t
		r := &http.Request{URL: &url.URL{Path: "/v1/alerts", RawQuery: query}}
		uri := r.URL.RequestURI()
		if strings.ContainsAny(uri, " \x00\r\n\x7f") || !isASCII(uri) {
			return // no such request comes through
		}
		for _, path := range []string{"/v1/alerts?", "/v1/decisions?", "/v1/decisions/stream?startup=true&"} {
			if w := one.do("GET", path+r.URL.RawQuery, "", "X-Api-Key: "+boothKey); w.Code != 200 && w.Code != 400 {
				t.Fatalf("%s%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 126 || r < 32 }) < 0
}

// checkSelection compares what a selection finds with what it wants.
func checkSelection(t *testing.T, book *decisions.Book, sel *selection, query string) {
	t.Helper()
	found := map[int64]bool{}
	for d := range book.Query(sel.Query) {
		found[d.ID] = true
	}
	for d := range book.Query(decisions.Query{Simulated: true}) {
		if sel.wants(&d) != found[d.ID] {
			t.Fatalf("%q: %+v: wanted %v, found %v", query, d, sel.wants(&d), found[d.ID])
		}
	}
}
