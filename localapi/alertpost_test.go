package localapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// sent is an alert as an agent sends it, with changes: "key": nil takes a key away.
func sent(changes map[string]any) map[string]any {
	a := map[string]any{
		"capacity": 5, "decisions": nil, "events": []any{}, "events_count": 6, "kind": "crowdsec", "labels": nil, "leakspeed": "10s",
		"message": "m", "remediation": true, "scenario": "x/ssh", "scenario_hash": "", "scenario_version": "", "simulated": false,
		"source":   map[string]any{"scope": "Ip", "value": "192.0.2.1", "ip": "192.0.2.1"},
		"start_at": boothStart.Format(time.RFC3339Nano), "stop_at": boothStart.Format(time.RFC3339Nano),
	}
	for k, v := range changes {
		if a[k] = v; v == nil {
			delete(a, k)
		}
	}
	return a
}

// against is an alert with one decision.
func against(scope, value, duration string) map[string]any {
	return sent(map[string]any{"decisions": []any{decision(scope, value, duration)}, "source": map[string]any{"scope": scope, "value": value}})
}

func decision(scope, value, duration string) map[string]any {
	return map[string]any{"duration": duration, "origin": "cscli", "scenario": "s", "scope": scope, "type": "ban", "value": value}
}

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inForce are the decisions in force as "scope value".
func (b *booth) inForce() []string {
	out := []string{}
	for d := range b.book.Query(decisions.Query{Simulated: true}) {
		out = append(out, d.Scope+" "+d.Value)
	}
	return out
}

// TestPostAlerts: what of a request is recorded, and what the sender hears.
func TestPostAlerts(t *testing.T) {
	good := against("Ip", "192.0.2.7", "1h")
	for _, tc := range []struct {
		name   string
		alerts []any
		status int
		ids    int      // of a 201
		says   string   // part of a failure's message
		force  []string // decisions in force afterwards
	}{
		{"judged by profiles", []any{sent(nil)}, 201, 1, "", []string{"Ip 192.0.2.1"}},
		{"a bad one among good ones", []any{sent(map[string]any{"scenario": nil}), good}, 201, 1, "", []string{"Ip 192.0.2.7"}},
		{"a bad one of another type among good ones", []any{sent(map[string]any{"capacity": "x"}), good, 7}, 201, 1, "", []string{"Ip 192.0.2.7"}},
		{"only bad ones", []any{sent(map[string]any{"source": map[string]any{"scope": "Ip"}})}, 400, 0, "0.source.value in body is required", nil},
		{"null events", []any{sent(map[string]any{"events": nil})}, 400, 0, "0.events in body", nil},
		{"no alert", []any{nil}, 400, 0, "0.capacity in body", nil},
		{"decision without type", []any{sent(map[string]any{"decisions": []any{map[string]any{"duration": "1h"}}})}, 400, 0, "0.decisions.0.type in body", nil},
		{"everything", []any{against("Range", "0.0.0.0/0", "1h")}, 400, 0, "too wide", nil},
		{"everything of IPv6", []any{against("Range", "::/0", "1h")}, 400, 0, "too wide", nil},
		{"everything as an address", []any{against("Ip", "0.0.0.0/0", "1h")}, 400, 0, "too wide", nil},
		{"a range as an address", []any{against("ip", "192.0.2.77/24", "1h")}, 201, 1, "", []string{"Range 192.0.2.0/24"}},
		{"everything among good ones", []any{against("Range", "0.0.0.0/0", "1h"), good}, 201, 1, "", []string{"Ip 192.0.2.7"}},
		{"no address", []any{against("Ip", "notanip", "1h")}, 201, 0, "", nil},
		{"no duration", []any{against("Ip", "192.0.2.7", "xx")}, 400, 0, "duration", nil},
		{"absurd duration", []any{against("Ip", "192.0.2.7", "99999999h")}, 400, 0, "duration", nil},
		{"absurd days", []any{against("Ip", "192.0.2.7", "106752d")}, 400, 0, "duration", nil},
		{"very long duration", []any{against("Ip", "192.0.2.7", "106751d")}, 201, 1, "", []string{"Ip 192.0.2.7"}},
		{"absurd time", []any{sent(map[string]any{"stop_at": "9999-12-31T23:59:59Z"})}, 201, 1, "", []string{"Ip 192.0.2.1"}},
		{"over already", []any{against("Ip", "192.0.2.7", "-1h")}, 201, 1, "", nil},
		{"days", []any{against("Ip", "192.0.2.7", "1d12h")}, 201, 1, "", []string{"Ip 192.0.2.7"}},
		{"scopes in any case", []any{against("range", "198.51.100.0/24", "1h"), against("COUNTRY", "fr", "1h"), against("as", "64500", "1h"), against("username", "Bob", "1h")},
			201, 4, "", []string{"Range 198.51.100.0/24", "Country FR", "AS 64500", "username Bob"}},
		{"no time", []any{sent(map[string]any{"stop_at": "yesterday"})}, 201, 1, "", []string{"Ip 192.0.2.1"}},
		{"simulated", []any{sent(map[string]any{"simulated": true})}, 201, 1, "", []string{"Ip 192.0.2.1"}},
		{"unknown keys", []any{sent(map[string]any{"id": 99, "uuid": "x", "machine_id": "other", "future": []int{1}})}, 201, 1, "", []string{"Ip 192.0.2.1"}},
		{"nothing", []any{}, 201, 0, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := openBooth(t, decisions.BookOptions{})
			body := b.sends(tc.status, "POST", "/v1/alerts", encoded(t, tc.alerts))
			var ids []string
			if tc.status == 201 {
				b.must(json.Unmarshal([]byte(body), &ids))
			} else if !strings.Contains(body, tc.says) {
				t.Errorf("says %s, want %q", body, tc.says)
			}
			if len(ids) != tc.ids || len(b.book.Alerts(decisions.AlertFilter{})) != tc.ids || len(b.told) != tc.ids {
				t.Errorf("%v recorded, %d kept, %d told; want %d", ids, len(b.book.Alerts(decisions.AlertFilter{})), len(b.told), tc.ids)
			}
			if d := cmp.Diff(append([]string{}, tc.force...), b.inForce()); d != "" {
				t.Errorf("in force (-want +got):\n%s", d)
			}
		})
	}
}

// TestPostFromTheFuture: a short ban is short, whenever it says that it begins.
func TestPostFromTheFuture(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.sends(201, "POST", "/v1/alerts", encoded(t, []any{sent(map[string]any{"stop_at": "2290-01-01T00:00:00Z"})}))
	for d := range b.book.Query(decisions.Query{}) {
		if left := d.Until.Sub(boothStart); left > 24*time.Hour {
			t.Errorf("in force until %s", d.Until)
		}
	}
}

// TestPostNoAlerts: what is no list of alerts is refused as a whole.
func TestPostNoAlerts(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	good := encoded(t, against("Ip", "192.0.2.7", "1h"))
	for _, body := range []string{"", " ", "junk", "{}", "null", "7", "[" + good, "[" + good + ",]", "[" + good + "] x", "[" + good + "]]", "\xff"} {
		if w := b.sends(400, "POST", "/v1/alerts", body); !strings.Contains(w, `"message":`) {
			t.Errorf("%q: %s", body, w)
		}
	}
	if n := len(b.book.Alerts(decisions.AlertFilter{})); n != 0 || len(b.inForce()) != 0 {
		t.Errorf("%d alerts, %v", n, b.inForce())
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte("[" + good + "]"))
	b.must(err)
	b.must(w.Close())
	if r := b.do("POST", "/v1/alerts", z.String(), "Content-Encoding: gzip"); r.Code != 201 || r.Body.String() != `["1"]` {
		t.Errorf("gzip: %d %s", r.Code, r.Body)
	}
}

// TestPostAllowed: alerts about an allowed source are taken and forgotten; decisions
// that were sent are kept without effect, and nobody is told of them.
func TestPostAllowed(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.must(b.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("192.0.2.0/24")}))
	if got := b.sends(201, "POST", "/v1/alerts", encoded(t, []any{sent(nil)})); got != "[]" {
		t.Errorf("alert about an allowed source: %s", got)
	}
	if got := b.sends(201, "POST", "/v1/alerts", encoded(t, []any{against("Ip", "192.0.2.7", "1h")})); got != `["1"]` {
		t.Errorf("decision against an allowed address: %s", got)
	}
	if s := b.book.Stats(); s.Suppressed != 1 {
		t.Errorf("%d suppressed", s.Suppressed)
	}
	if got := b.pull("/v1/decisions?ip=192.0.2.7").Body.String(); got != "null" {
		t.Errorf("live: %s", got)
	}
	if got := b.sends(200, "GET", "/v1/alerts/1", ""); !strings.Contains(got, `"duration":"0s"`) {
		t.Errorf("alert: %s", got)
	}
}

// TestPostRecordsAll: what is kept of an alert, and that it is there after a restart.
func TestPostRecordsAll(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	long := strings.Repeat("x", 9000)
	meta := []any{map[string]any{"key": "service", "value": "ssh"}, map[string]any{"key": "long", "value": long}, nil}
	a := sent(map[string]any{
		"events": []any{map[string]any{"timestamp": "2026-11-23T11:54:59.5+01:00", "meta": meta}},
		"meta":   []any{map[string]any{"key": strings.Repeat("k", 300), "value": "v"}},
		"source": map[string]any{"scope": "ip", "value": "192.0.2.1", "cn": "FR", "latitude": 48.85, "as_number": "64500"},
	})
	b.sends(201, "POST", "/v1/alerts", encoded(t, []any{a}))
	b.restart()
	b.login()
	var got struct {
		Machine string `json:"machine_id"`
		Events  []event.AlertEvent
		Meta    event.Meta
		Source  event.Source
	}
	b.must(json.Unmarshal([]byte(b.sends(200, "GET", "/v1/alerts/1", "")), &got))
	if got.Machine != boothMachine || got.Source.Scope != "Ip" || got.Source.Latitude != 48.85 || got.Source.AsNumber != "64500" {
		t.Errorf("%+v", got)
	}
	if len(got.Meta) != 1 || len(got.Meta[0].Key) != maxContextKey {
		t.Errorf("meta %v", got.Meta)
	}
	if e := got.Events[0]; e.Timestamp != "2026-11-23 10:54:59.5 +0000 UTC" || e.Meta.Get("service") != "ssh" || len(e.Meta.Get("long")) >= 4096 {
		t.Errorf("event %.300v", e)
	}
	if d := slices.Collect(b.book.Query(decisions.Query{})); len(d) != 1 || !d[0].Direct || d[0].Origin != decisions.OriginLocal {
		t.Errorf("decisions %+v", d)
	}
}

// TestDirect: packets of what was seen behind HTTP may be a proxy's.
func TestDirect(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	web := []any{map[string]any{"timestamp": "", "meta": []any{map[string]any{"key": "service", "value": "http"}}}}
	for i, tc := range []struct {
		changes map[string]any
		want    bool
	}{
		{nil, true}, {map[string]any{"events": web}, false}, {map[string]any{"kind": "waf"}, false}, {map[string]any{"kind": "cscli"}, true},
	} {
		value := fmt.Sprintf("192.0.2.%d", i)
		a := sent(tc.changes)
		a["source"] = map[string]any{"scope": "Ip", "value": value}
		b.sends(201, "POST", "/v1/alerts", encoded(t, []any{a}))
		ds := slices.Collect(b.book.Query(decisions.Query{Value: value}))
		if len(ds) != 1 || ds[0].Direct != tc.want {
			t.Errorf("%v: %+v", tc.changes, ds)
		}
	}
}

// TestBoundEvent: what is too long is cut by halves, to what fits; what does not fit
// even so is left out.
func TestBoundEvent(t *testing.T) {
	items := func(n, size int) (out []*event.MetaItem) {
		for i := range n {
			out = append(out, &event.MetaItem{Key: fmt.Sprint("k", i), Value: strings.Repeat("é", size/2)})
		}
		return out
	}
	for _, tc := range []struct{ n, size, longest int }{
		{3, 2000, 2000}, {1, 9000, 2048 + len(stripped)}, {6, 3000, 1024 + len(stripped)}, {100, 100, 32 + len(stripped)}, {1000, 50, 0},
	} {
		m := boundEvent(items(tc.n, tc.size))
		longest := 0
		for _, it := range m {
			longest = max(longest, len(it.Value))
		}
		if longest > tc.longest || (tc.longest > 0) != (len(m) == tc.n) || longest < tc.longest*9/10 || len(appendMeta(nil, m)) > maxEventMeta {
			t.Errorf("%d of %d: %d items, the longest has %d, want %d", tc.n, tc.size, len(m), longest, tc.longest)
		}
	}
}

// TestBulk: a hundred thousand decisions in one request.
func TestBulk(t *testing.T) {
	const n = 100_000
	b := openBooth(t, decisions.BookOptions{})
	ds := make([]any, n)
	for i := range ds {
		ds[i] = decision("ip", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "4h")
	}
	a := sent(map[string]any{"kind": "cscli", "decisions": ds, "source": map[string]any{"scope": "", "value": ""}})
	body := encoded(t, []any{a})
	b.login()
	began := time.Now()
	if got := b.sends(201, "POST", "/v1/alerts", body); got != `["1"]` {
		t.Fatal(got)
	}
	t.Logf("%d decisions, %d MB, in %v", n, len(body)>>20, time.Since(began).Round(time.Millisecond))
	if s := b.book.Stats(); s.Decisions != n {
		t.Errorf("%d decisions", s.Decisions)
	}
	if got := b.pull("/v1/decisions").Body; bytes.Count(got.Bytes(), []byte(`"id":`)) != n {
		t.Errorf("live answer of %d bytes", got.Len())
	}
}

// TestLongMistakes: what is wrong with an alert is told in few words.
func TestLongMistakes(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.login()
	long := strings.Repeat("1", 1<<20)
	for _, bad := range []any{against("Ip", "192.0.2.1", long), sent(map[string]any{"capacity": json.Number(long)})} {
		if got := b.sends(400, "POST", "/v1/alerts", encoded(t, []any{bad})); len(got) > 2*maxMessage {
			t.Errorf("answer of %d bytes", len(got))
		}
	}
}
