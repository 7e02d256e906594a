package expression_test

import (
	"net/http"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// onContext evaluates source as the context of an alert.
func onContext(t *testing.T, source string, v *expression.Vars) (any, error) {
	t.Helper()
	p, err := expression.New(expression.Options{}).Compile(source, expression.OnContext, expression.Any)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p.Any(v)
}

func TestContext(t *testing.T) {
	r := &http.Request{Method: "GET", Host: "example.org", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"User-Agent": {"me"}}}
	ev := &event.Event{Meta: map[string]string{"a": "b"}}
	rule := map[string]any{"uri": "/x", "matched_zones": []string{"URI"}}
	for _, c := range []struct {
		source string
		v      expression.Vars
		want   any // nil: it fails
	}{
		{"evt.Meta.a", expression.Vars{Evt: ev}, "b"},
		{"(match.uri != nil && match.internal != true) ? match.uri : ''", expression.Vars{Match: rule}, "/x"},
		{"(match.uri != nil && match.internal != true) ? match.uri : ''", expression.Vars{Match: map[string]any{"uri": "/x", "internal": true}}, ""},
		{"(match.uri != nil && match.internal != true) ? match.uri : ''", expression.Vars{}, ""},
		{"req != nil ? req.Host : ''", expression.Vars{Req: r}, "example.org"},
		{"req != nil ? req.Host : ''", expression.Vars{}, ""},
		{"req.Method != '' ? req.UserAgent() : ''", expression.Vars{Req: r}, "me"},
		{"req.Method != '' ? req.UserAgent() : ''", expression.Vars{Req: &http.Request{}}, ""},
		{"req.Method != '' ? req.UserAgent() : ''", expression.Vars{}, nil},
		{"req.Header['User-Agent'][0]", expression.Vars{Req: r}, "me"},
		{"JA4H(req)", expression.Vars{Req: r}, "ge11nn010000_b8bcd45ac095_000000000000_000000000000"},
		{"JA4H(req)", expression.Vars{}, ""},
	} {
		got, err := onContext(t, c.source, &c.v)
		if (err != nil) != (c.want == nil) || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.source, got, err, c.want)
		}
	}
}

// The hashes are those that sha256sum gives for the lists.
func TestJA4H(t *testing.T) {
	for name, c := range map[string]struct {
		r    http.Request
		want string
	}{
		"plain": {http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"User-Agent": {"x"}, "Accept": {"*/*"}}},
			"ge11nn020000_cf69e1861692_000000000000_000000000000"},
		"cookies, referer, language": {http.Request{Method: "POST", ProtoMajor: 2, Header: http.Header{
			"User-Agent": {"x"}, "Accept": {"*/*"}, "Accept-Language": {"en-GB;q=0.9,de"}, "Referer": {"/"}, "Cookie": {"b=2; a=1"}}},
			"po20cr03engb_cf9c888744f5_1eb7c54d5283_06beefe2b477"},
		"nothing":        {http.Request{}, "00nn000000_e3b0c44298fc_000000000000_000000000000"},
		"short language": {http.Request{Method: "PUT", ProtoMajor: 3, Header: http.Header{"Accept-Language": {"DE"}}}, "pu30nn01de00_6ec18c3c2e22_000000000000_000000000000"},
	} {
		got, err := onContext(t, "JA4H(req)", &expression.Vars{Req: &c.r})
		if got != c.want || err != nil {
			t.Errorf("%s: %v, %v; want %s", name, got, err, c.want)
		}
	}
}

func FuzzJA4H(f *testing.F) {
	f.Add("GET", "en-GB,de;q=0.1", "a=1; b=2", "X-A")
	f.Add("", "-", ";;=", "cookie")
	f.Fuzz(func(t *testing.T, method, language, cookie, name string) {
		r := &http.Request{Method: method, ProtoMajor: 1, Header: http.Header{name: {"x"}, "Cookie": {cookie}, "Accept-Language": {language}}}
		got, err := onContext(t, "JA4H(req)", &expression.Vars{Req: r})
		if s, ok := got.(string); err != nil || !ok || len(s) < 47 {
			t.Errorf("%v, %v", got, err)
		}
	})
}
