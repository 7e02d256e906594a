package localapi

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// live are the decisions of a live answer as "type value".
func (b *booth) live(query string) string {
	b.tb.Helper()
	w := b.pull("/v1/decisions?" + query)
	if w.Code != 200 {
		b.tb.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	var ds []wireDecision
	b.must(json.Unmarshal(w.Body.Bytes(), &ds))
	var out []string
	for _, d := range ds {
		out = append(out, d.Type+" "+d.Value)
	}
	return strings.Join(out, ", ")
}

// put puts a list of a type in force.
func (b *booth) put(name, kind string, length time.Duration, prefixes ...string) {
	b.tb.Helper()
	var ps []netip.Prefix
	for _, p := range prefixes {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	now := b.clock.Now()
	l, _, err := decisions.NewBlocklist(decisions.ListHead{Name: name, Type: kind, Created: now, Until: now.Add(length)}, ps)
	b.must(err)
	b.must(b.book.PutList(l))
}

// TestLiveOrder: the first is the strongest, and of those that are as strong the
// longest, ours before those of lists.
func TestLiveOrder(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	for _, d := range []string{"mfa 8h", "throttle 9h", "captcha 2h", "ban 1h"} {
		kind, length, _ := strings.Cut(d, " ")
		b.decide(kind, "Ip", "10.1.2.3", length)
	}
	b.decide("ban", "Range", "10.1.0.0/16", "3h")
	b.put("long", "ban", 4*time.Hour, "10.1.2.0/24")
	b.put("same", "ban", time.Hour, "10.1.2.3/32")
	want := "ban 10.1.2.0/24, ban 10.1.0.0/16, ban 10.1.2.3, ban 10.1.2.3, captcha 10.1.2.3, throttle 10.1.2.3, mfa 10.1.2.3"
	if got := b.live("ip=10.1.2.3"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var ds []wireDecision
	b.must(json.Unmarshal(b.pull("/v1/decisions?ip=10.1.2.3").Body.Bytes(), &ds))
	if ds[2].Origin != "cscli" || ds[3].Origin != "lists" || ds[3].Scenario != "same" || ds[3].UUID != "" {
		t.Errorf("of equal ones: %+v", ds[2:4])
	}
	for query, want := range map[string]string{
		"ip=10.1.2.3&limit=1":                           "ban 10.1.2.0/24",
		"ip=10.1.2.3&limit=2&offset=1":                  "ban 10.1.0.0/16, ban 10.1.2.3",
		"ip=10.1.2.3&offset=6":                          "mfa 10.1.2.3",
		"ip=10.1.2.3&offset=7":                          "",
		"ip=10.1.2.3&origins=lists,CAPI":                "ban 10.1.2.0/24, ban 10.1.2.3",
		"ip=10.1.2.3&scenarios_containing=LON,MM":       "ban 10.1.2.0/24",
		"ip=10.1.2.3&id_gt=4&origins=cscli":             "ban 10.1.0.0/16",
		"range=10.1.0.0/16&contains=false&type=captcha": "captcha 10.1.2.3",
		"ip=::ffff:10.1.2.3&type=mfa":                   "mfa 10.1.2.3",
		"scope=RANGE&unknown=1&origins=cscli":           "ban 10.1.0.0/16",
	} {
		if got := b.live(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"ip=x", "range=1.2.3.4/99", "limit=-1", "offset=x", "id_gt=1e9", "contains=perhaps", "limit=99999999999999999999",
		"ip=", "range=", "value=", "type=", "scopes=,", "scope=", "origins=%20", "ip=fe80::1%eth0", "ip=1.2.3.4&range=1.2.3.0/24"} {
		if w := b.pull("/v1/decisions?" + query); w.Code != 400 || !strings.Contains(w.Body.String(), `{"message":"`) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// TestLiveAllowed: a range that is banned leaves out what in it is allowed.
func TestLiveAllowed(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	b.decide("ban", "Range", "10.1.0.0/16", "3h")
	b.put("long", "ban", 4*time.Hour, "10.2.0.0/16")
	b.must(b.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("10.1.2.0/30")}))
	b.must(b.book.Allow().Add(decisions.AllowEntry{Prefix: netip.MustParsePrefix("10.2.0.1/32")}))
	for query, want := range map[string]string{
		"ip=10.1.2.3":                      "",
		"ip=::ffff:10.1.2.3":               "",
		"range=10.1.2.2/31":                "",
		"ip=10.2.0.1":                      "",
		"ip=10.1.2.4":                      "ban 10.1.0.0/16",
		"range=10.1.2.0/29":                "ban 10.1.0.0/16",
		"ip=10.2.0.2":                      "ban 10.2.0.0/16",
		"range=10.1.0.0/16&contains=false": "ban 10.1.0.0/16",
	} {
		if got := b.live(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// TestLiveMany: more than can be put in order are still in the order of their types.
func TestLiveMany(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	now := b.clock.Now()
	ds := make([]decisions.Decision, 0, maxSorted+10)
	for i := range cap(ds) {
		kind := []string{"other", "captcha", "ban"}[i%3]
		ds = append(ds, decisions.Decision{Scope: "Ip", Value: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), Type: kind, Origin: "cscli",
			Scenario: "s", Until: now.Add(time.Hour)})
	}
	b.must(b.book.Append(nil, ds))
	var got []wireDecision
	b.must(json.Unmarshal(b.pull("/v1/decisions").Body.Bytes(), &got))
	if len(got) != len(ds) {
		t.Fatalf("%d of %d", len(got), len(ds))
	}
	for i := range got[1:] {
		if rankOf(got[i].Type) > rankOf(got[i+1].Type) {
			t.Fatalf("%s before %s", got[i].Type, got[i+1].Type)
		}
	}
	if got := strings.Count(b.live("limit=5000&offset=4000"), "other"); got != len(ds)-4000 {
		t.Errorf("%d others behind the first 4000", got)
	}
}

// TestDeleteDecisions: filters, ids and what is refused.
func TestDeleteDecisions(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	for i := range 6 {
		b.decide("ban", "Ip", fmt.Sprintf("192.0.2.%d", i), "1h")
	}
	b.decide("captcha", "Range", "198.51.100.0/24", "1h")
	b.decide("ban", "AS", "64500", "1h")
	var uuids []string
	for d := range b.book.Query(decisions.Query{IDs: []int64{1, 2}}) {
		uuids = append(uuids, d.UUID)
	}
	for _, tc := range []struct {
		uri    string
		status int
		want   string
	}{
		{"?scope=AS", 400, `{"message":"filter \"scope\" doesn't exist"}`},
		{"?uuid=", 400, `{"message":"filter \"uuid\" has no value; leave it out if all are meant"}`},
		{"?ip=&value=192.0.2.1", 400, `{"message":"filter \"ip\" has no value; leave it out if all are meant"}`},
		{"?scopes=,", 400, `{"message":"filter \"scopes\" has no value; leave it out if all are meant"}`},
		{"?value=100%", 400, `{"message":"query: invalid URL escape \"%\""}`},
		{"?scenario=a;b", 400, `{"message":"query: invalid semicolon separator in query"}`},
		{"?ip=192.0.2.1&range=192.0.2.0/24", 400, `{"message":"ip and range are two names of one filter; leave one of them out"}`},
		{"?ip=zz", 400, `{"message":"invalid ip address or range \"zz\""}`},
		{"/x", 400, `{"message":"decision_id must be valid integer"}`},
		{"/0", 404, `{"message":"decision with id '0' doesn't exist"}`},
		{"/99", 404, `{"message":"decision with id '99' doesn't exist"}`},
		{"?uuid=" + uuids[0] + "&uuid=" + uuids[1], 200, `{"nbDeleted":"2"}`},
		{"/3", 200, `{"nbDeleted":"1"}`},
		{"/3", 404, `{"message":"decision with id '3' doesn't exist"}`},
		{"?ip=198.51.100.7&type=ban", 200, `{"nbDeleted":"0"}`},
		{"?ip=198.51.100.7&type=captcha", 200, `{"nbDeleted":"1"}`},
		{"?scopes=as", 200, `{"nbDeleted":"1"}`},
		{"?range=192.0.2.0/24&contains=false&origin=crowdsec", 200, `{"nbDeleted":"0"}`},
		{"?value=192.0.2.3", 200, `{"nbDeleted":"1"}`},
		{"", 200, `{"nbDeleted":"2"}`},
	} {
		if got := b.sends(tc.status, "DELETE", "/v1/decisions"+tc.uri, ""); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.uri, got, tc.want)
		}
	}
	if w := b.do("DELETE", "/v1/decisions", "", "Authorization: ", "X-Api-Key: "+boothKey); w.Code != 401 {
		t.Errorf("a bouncer: %d", w.Code)
	}
}
