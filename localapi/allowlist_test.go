package localapi

import (
	"net/netip"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// TestAllowlists: the lists and what they say of addresses, to the letter.
func TestAllowlists(t *testing.T) {
	b := openBooth(t, decisions.BookOptions{})
	if got := b.sends(200, "GET", "/v1/allowlists", ""); got != "[]" {
		t.Errorf("none: %s", got)
	}
	prefix := netip.MustParsePrefix
	allow := b.book.Allow()
	b.must(allow.ReplaceList(decisions.AllowList{Name: "my_allow", Description: "desc", Managed: true, Items: []decisions.AllowEntry{
		{Prefix: prefix("62.0.0.0/8"), Comment: "partner"},
		{Prefix: prefix("60.0.0.2/32"), Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}))
	b.must(allow.CreateList("empty", ""))
	const at = `"2026-11-23T11:55:00.000Z"`
	mine := `{"console_managed":true,"created_at":` + at + `,"description":"desc","items":[` +
		`{"created_at":` + at + `,"expiration":"2030-01-01T00:00:00.000Z","value":"60.0.0.2"},` +
		`{"created_at":` + at + `,"description":"partner","expiration":"0001-01-01T00:00:00.000Z","value":"62.0.0.0/8"}],` +
		`"name":"my_allow","updated_at":` + at + `}`
	empty := `{"created_at":` + at + `,"items":[],"name":"empty","updated_at":` + at + `}`
	brief := `{"console_managed":true,"created_at":` + at + `,"description":"desc","items":[],"name":"my_allow","updated_at":` + at + `}`
	for _, tc := range []struct {
		method, uri, body string
		status            int
		want              string
	}{
		{"GET", "/v1/allowlists?with_content=true", "", 200, "[" + empty + "," + mine + "]"},
		{"GET", "/v1/allowlists", "", 200, "[" + empty + "," + brief + "]"},
		{"GET", "/v1/allowlists/my_allow?with_content=true", "", 200, mine},
		{"GET", "/v1/allowlists/nope", "", 404, `{"message":"allowlist 'nope' not found"}`},
		{"GET", "/v1/allowlists/check/62.1.2.3", "", 200, `{"allowlisted":true,"reason":"62.0.0.0/8 from my_allow (partner)"}`},
		{"GET", "/v1/allowlists/check/60.0.0.0%2F8", "", 200, `{"allowlisted":true,"reason":"60.0.0.2 from my_allow"}`},
		{"GET", "/v1/allowlists/check/60.0.0.0%2F6", "", 200,
			`{"allowlisted":true,"reason":"60.0.0.2 from my_allow, 62.0.0.0/8 from my_allow (partner)"}`},
		{"GET", "/v1/allowlists/check/1.1.1.1", "", 200, "{}"},
		{"HEAD", "/v1/allowlists/check/62.1.2.3", "", 200, ""},
		{"HEAD", "/v1/allowlists/check/1.1.1.1", "", 204, ""},
		{"GET", "/v1/allowlists/check/junk", "", 400, `{"message":"invalid ip address or range \"junk\""}`},
		{"GET", "/v1/allowlists/check/62.0.0.0/8", "", 404, ""},
		{"POST", "/v1/allowlists/check", `{"targets":["62.1.2.3","1.1.1.1","60.0.0.2"]}`, 200,
			`{"results":[{"allowlists":["62.0.0.0/8 from my_allow (partner)"],"target":"62.1.2.3"},{"allowlists":["60.0.0.2 from my_allow"],"target":"60.0.0.2"}]}`},
		{"POST", "/v1/allowlists/check", `{"targets":["1.1.1.1"]}`, 200, `{"results":[]}`},
		{"POST", "/v1/allowlists/check", `{"targets":[]}`, 400, `{"message":"targets list cannot be empty"}`},
		{"POST", "/v1/allowlists/check", `{"targets":["x"]}`, 400, `{"message":"target 0: invalid ip address or range \"x\""}`},
		{"POST", "/v1/allowlists/check", `{"targets":7}`, 400, ""},
		{"POST", "/v1/allowlists/check", ``, 400, `{"message":"EOF"}`},
	} {
		if got := b.sends(tc.status, tc.method, tc.uri, tc.body); got != tc.want && (tc.want != "" || tc.status < 400) {
			t.Errorf("%s %s: got  %s\nwant %s", tc.method, tc.uri, got, tc.want)
		}
	}
	b.must(allow.Add(decisions.AllowEntry{Prefix: prefix("192.0.2.0/24")}))
	if got := b.sends(200, "GET", "/v1/allowlists/default", ""); got != `{"created_at":`+at+`,"items":[],"name":"default","updated_at":`+at+`}` {
		t.Errorf("default: %s", got)
	}
}
