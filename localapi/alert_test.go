package localapi

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// alertIDs are those of an answer, in its order.
func (b *booth) alertIDs(uri string) []int64 {
	b.tb.Helper()
	var list []struct{ ID int64 }
	b.must(json.Unmarshal([]byte(b.sends(200, "GET", uri, "")), &list))
	var ids []int64
	for _, a := range list {
		ids = append(ids, a.ID)
	}
	return ids
}

// TestAlertQueries: the filters that captures do not show.
func TestAlertQueries(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	at := b.clock.Now()
	for i, changes := range []map[string]any{
		{"start_at": at.Add(-50 * time.Hour).Format(time.RFC3339)}, // 1
		{"simulated": true},  // 2
		{"remediation": nil}, // 3
		{"kind": "cscli", "decisions": []any{decision("Ip", "198.51.100.9", "1h"), decision("Range", "10.0.0.0/8", "5m")}}, // 4
		{"scenario": "x/list", "decisions": []any{func() any { // 5
			d := decision("Ip", "203.0.113.5", "1h")
			d["origin"] = "lists"
			return d
		}()}},
	} {
		if i > 0 {
			b.clock.Advance(time.Minute)
		}
		b.sends(201, "POST", "/v1/alerts", encoded(t, []any{sent(changes)}))
	}
	b.clock.Advance(2 * time.Minute) // the short one is over
	b.book.Expire(b.clock.Now())
	for query, want := range map[string][]int64{
		"":                                {5, 4, 3, 2, 1},
		"sort=ASC&limit=2":                {1, 2},
		"limit=0":                         {5, 4, 3, 2, 1},
		"since=2d":                        {5, 4, 3, 2},
		"until=2d1h":                      {1},
		"created_before=5m":               {2, 1},
		"simulated=false":                 {5, 4, 3, 1},
		"simulated=true":                  {5, 4, 3, 2, 1},
		"include_capi=false":              {4, 3, 2, 1},
		"include_capi=false&origin=lists": {5},
		"has_active_decision=false":       {3},
		"decision_type=ban&origin=cscli":  {4},
		"ip=10.1.2.3":                     {4},
		"range=10.0.0.0/8&contains=false": {4},
		"scope=IP&value=192.0.2.1":        {5, 4, 3, 2, 1},
		"scenario=s":                      {5, 4},
		"kind=cscli":                      {4},
	} {
		if d := cmp.Diff(want, b.alertIDs("/v1/alerts?"+query)); d != "" {
			t.Errorf("%q (-want +got):\n%s", query, d)
		}
	}
	if got := b.sends(200, "GET", "/v1/alerts?value=192.0.2.99", ""); got != "null" {
		t.Errorf("nothing found: %q", got)
	}
	for _, query := range []string{"nope=1", "limit=-1", "limit=x", "since=x", "since=99999999999d", "ip=x", "contains=x&ip=1.2.3.4", "has_active_decision=2", "include_capi=maybe", "nope=",
		"scenario=", "value=", "ip=", "origin=%20", "since=", "limit=", "scope=Ip&value=", "scenario=100%", "scenario=a;b"} {
		b.sends(400, "GET", "/v1/alerts?"+query, "")
		b.sends(400, "DELETE", "/v1/alerts?"+query, "")
	}
	if n := len(b.book.Alerts(decisions.AlertFilter{})); n != 5 {
		t.Errorf("%d alerts are left", n)
	}
}

// TestDeleteAlerts: who may, and that the bouncers hear of it.
func TestDeleteAlerts(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.server.Use(Config{TrustedIPs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	for i := range 4 {
		b.decide("ban", "Ip", fmt.Sprintf("192.0.2.%d", i), "1h")
	}
	b.pull("/v1/decisions/stream?startup=true")
	deleted := func(uri string, headers ...string) (int, string) {
		w := b.do("DELETE", uri, "", headers...)
		return w.Code, w.Body.String()
	}
	for _, headers := range []string{"X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-Ip: 127.0.0.1", "Via: 1.1 x"} {
		if code, body := deleted("/v1/alerts/1", headers); code != 403 {
			t.Errorf("%s: %d %s", headers, code, body)
		}
	}
	site := b.server.Handler(false, nil)
	own := b.handler
	b.handler = site
	for _, from := range []string{"Peer: 127.0.0.1", "Peer: 203.0.113.9"} {
		if code, body := deleted("/v1/alerts/1", from); code != 403 {
			t.Errorf("%s at a site: %d %s", from, code, body)
		}
	}
	b.handler = own
	if code, body := deleted("/v1/alerts/1", "Peer: 198.51.100.1"); code != 403 {
		t.Errorf("from elsewhere: %d %s", code, body)
	}
	if code, body := deleted("/v1/alerts/99", "Peer: 203.0.113.9"); code != 404 {
		t.Errorf("from a trusted address: %d %s", code, body)
	}
	for _, tc := range []struct {
		uri  string
		code int
		body string
	}{
		{"/v1/alerts/1", 200, `{"nbDeleted":"1"}`},
		{"/v1/alerts/1", 404, `{"message":"alert not found"}`},
		{"/v1/alerts/x", 400, `{"message":"alert_id must be valid integer"}`},
		{"/v1/alerts/-1", 404, `{"message":"alert not found"}`},
		{"/v1/alerts?ip=192.0.2.1&limit=0", 200, `{"nbDeleted":"1"}`},
		{"/v1/alerts?ip=192.0.2.1", 200, `{"nbDeleted":"0"}`},
		{"/v1/alerts?", 200, `{"nbDeleted":"2"}`},
	} {
		if code, body := deleted(tc.uri); code != tc.code || body != tc.body {
			t.Errorf("%s: %d %s", tc.uri, code, body)
		}
	}
	var p pulled
	b.must(json.Unmarshal(b.pull("/v1/decisions/stream").Body.Bytes(), &p))
	var values []string
	for _, d := range p.Deleted {
		values = append(values, d.Value)
	}
	if slices.Sort(values); strings.Join(values, " ") != "192.0.2.0 192.0.2.1 192.0.2.2 192.0.2.3" || len(p.New) != 0 {
		t.Errorf("told %+v", p)
	}
}

// TestAlertText: an alert to the letter, as clients know it.
func TestAlertText(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.decide("ban", "Ip", "192.0.2.1", "1h")
	uuid := b.book.Alerts(decisions.AlertFilter{})[0].UUID
	want := `{"capacity":0,"created_at":"2026-11-23T11:55:00Z","decisions":[{"duration":"1h0m0s","id":1,"origin":"cscli",` +
		`"scenario":"manual 'ban' from 'testmachine'","scope":"Ip","simulated":false,"type":"ban","value":"192.0.2.1"}],"events":null,` +
		`"events_count":1,"id":1,"kind":"cscli","labels":null,"leakspeed":"0","machine_id":"testmachine",` +
		`"message":"manual 'ban' from 'testmachine'","remediation":true,"scenario":"manual 'ban' from 'testmachine'","scenario_hash":"",` +
		`"scenario_version":"","simulated":false,"source":{"ip":"192.0.2.1","scope":"Ip","value":"192.0.2.1"},` +
		`"start_at":"2026-11-23T11:55:00Z","stop_at":"2026-11-23T11:55:00Z","uuid":"` + uuid + `"}`
	if got := b.sends(200, "GET", "/v1/alerts/1", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if w := b.do("HEAD", "/v1/alerts/1", ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := b.do("HEAD", "/v1/alerts/2", ""); w.Code != 404 {
		t.Errorf("HEAD: %d", w.Code)
	}
}
