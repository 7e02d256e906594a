package expression_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/geoip"
	"github.com/rampart-edge/rampart/internal/testkit/mmdbtest"
)

// web answers with what it was asked. Paths below /status/ answer with that status.
func web(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		switch r.URL.Path {
		case "/teapot":
			w.WriteHeader(http.StatusTeapot)
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 10<<20+1))
			return
		}
		fmt.Fprintf(w, "%s|%s|%s|%s|%s", r.Method, r.Header.Get("Content-Type"), r.Header.Get("X-A"), r.UserAgent(), body)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestHTTPFunctions(t *testing.T) {
	s := web(t)
	env := expression.New(expression.Options{HTTP: s.Client()})
	check(t, env, onRequest, [][2]any{
		{`HTTPGet('` + s.URL + `').Body`, "GET|||rampart|"},
		{`HTTPGet('` + s.URL + `/teapot').StatusCode`, 418},
		{`HTTPGet('` + s.URL + `').Headers['X-Method'][0]`, "GET"},
		{`HTTPGet('` + s.URL + `').Headers.Get('x-method')`, "GET"},
		{`HTTPHead('` + s.URL + `').Headers.Get('x-method') + HTTPHead('` + s.URL + `').Body`, "HEAD"},
		{`HTTPPost('` + s.URL + `', 'text/plain', 'hello').Body`, "POST|text/plain||rampart|hello"},
		{`HTTPRequest('PUT', '` + s.URL + `', {'X-A': 7, 'User-Agent': 'me'}, 'hello').Body`, "PUT||7|me|hello"},
		{`HTTPRequest('DELETE', '` + s.URL + `', {}, '').StatusCode`, 200},
		{`len(HTTPGet('` + s.URL + `/large').Body)`, 10 << 20},
		{`HTTPGet('http://[')`, failure("HTTPGet: parse")},
		{`HTTPGet('gopher://127.0.0.1/').Body`, failure("unsupported protocol scheme")},
		{`HTTPRequest('a b', '` + s.URL + `', {}, '')`, failure("invalid method")},
		{`HTTPRequest('GET', '` + s.URL + `', evt.Unmarshaled.x, '')`, failure("argument 3 is nothing (nil), a map is needed")},
		{`HTTPGet(evt.Unmarshaled.x)`, failure("argument 1 is nothing (nil)")},
	})
	s.Close()
	check(t, env, onRequest, [][2]any{{`HTTPGet('` + s.URL + `').Body`, failure("HTTPGet: Get")}})
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`HTTPGet('http://127.0.0.1/')`, failure("requests to other machines are not allowed here")},
		{`HTTPHead('http://127.0.0.1/')`, failure("not allowed")},
		{`HTTPPost('http://127.0.0.1/', '', '')`, failure("not allowed")},
		{`HTTPRequest('GET', 'http://127.0.0.1/', {}, '')`, failure("not allowed")},
		{`CrowdsecCTI('192.0.2.1')`, failure("the CTI is off")},
	})
}

// Requests beyond the bound fail at once.
func TestHTTPBound(t *testing.T) {
	arrived, release := make(chan struct{}, 16), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer s.Close()
	env := expression.New(expression.Options{HTTP: s.Client()})
	p, err := env.Compile(`HTTPGet('`+s.URL+`').StatusCode == 200`, expression.OnEvent, expression.Bool)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if ok, err := p.Bool(onRequest()); !ok {
				t.Error(err)
			}
		})
	}
	for range 16 {
		<-arrived
	}
	if _, err := p.Bool(onRequest()); err == nil || !strings.Contains(err.Error(), "16 requests are open already") {
		t.Errorf("the seventeenth: %v", err)
	}
	close(release)
	wg.Wait()
}

func TestCTI(t *testing.T) {
	const known = `{"ip":"192.0.2.1","as_name":"Example","as_num":64500,"location":{"country":"FR"},
		"behaviors":[{"name":"ssh:bruteforce","label":"x"}],"attack_details":[{"name":"crowdsecurity/ssh-bf","references":[]}],
		"classifications":{"false_positives":[{"name":"seo:crawler"}],"classifications":[{"name":"profile:likely_botnet"}]},
		"background_noise_score":3,"target_countries":{"FR":80,"DE":20.5},"scores":{"last_day":{"total":4}},"history":{"days_age":7}}`
	status, asked := map[string]int{}, map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ip := strings.TrimPrefix(r.URL.Path, "/v2/smoke/")
		asked[ip]++
		if r.Header.Get("X-Api-Key") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if code := status[ip]; code != 0 {
			w.WriteHeader(code)
			return
		}
		switch ip {
		case "192.0.2.1":
			_, _ = io.WriteString(w, known)
		case "192.0.2.2":
			_, _ = io.WriteString(w, `{"ip":"192.0.2.2","classifications":{"classifications":[{"name":"community-blocklist"}]}}`)
		case "192.0.2.3":
			_, _ = io.WriteString(w, `{"ip":`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer s.Close()
	now := noon
	open := func(key string) *expression.Env {
		return expression.New(expression.Options{HTTP: s.Client(), Now: func() time.Time { return now },
			CTI: expression.CTI{Key: key, URL: s.URL + "/v2"}})
	}
	env := open("secret")
	check(t, env, onRequest, [][2]any{
		{`CrowdsecCTI('192.0.2.1').AsName == 'Example'`, true},
		{`CrowdsecCTI('192.0.2.1').Location.Country == 'FR'`, true},
		{`CrowdsecCTI('192.0.2.1').GetBehaviors()`, []string{"ssh:bruteforce"}},
		{`CrowdsecCTI('192.0.2.1').GetAttackDetails()`, []string{"crowdsecurity/ssh-bf"}},
		{`CrowdsecCTI('192.0.2.1').GetFalsePositives()`, []string{"seo:crawler"}},
		{`CrowdsecCTI('192.0.2.1').GetClassifications()`, []string{"profile:likely_botnet"}},
		{`CrowdsecCTI('192.0.2.1').GetBackgroundNoiseScore()`, 3},
		{`CrowdsecCTI('192.0.2.1').GetMaliciousnessScore()`, float32(0.4)},
		{`CrowdsecCTI('192.0.2.1').IsFalsePositive()`, true},
		{`CrowdsecCTI('192.0.2.1').IsPartOfCommunityBlocklist()`, false},
		{`CrowdsecCTI('192.0.2.1').IsOk`, true},
		{`CrowdsecCTI('192.0.2.2').GetMaliciousnessScore()`, float32(1)},
		{`CrowdsecCTI('192.0.2.2').IsPartOfCommunityBlocklist()`, true},
		{`CrowdsecCTI('192.0.2.3')`, failure("decoding the answer of the CTI")},
		{`CrowdsecCTI('192.0.2.4').IsOk`, false}, // unknown: an empty item
		{`CrowdsecCTI('192.0.2.4').GetBehaviors()`, []string{}},
		{`CrowdsecCTI('192.0.2.4').GetMaliciousnessScore()`, float32(0)},
		{`CrowdsecCTI('192.0.2.4').GetBackgroundNoiseScore()`, 0},
		{`CrowdsecCTI('192.0.2.4').IsFalsePositive()`, false},
		{`CrowdsecCTI('../decisions')`, failure("is no address")},
	})
	if d := cmp.Diff(map[string]int{"192.0.2.1": 1, "192.0.2.2": 1, "192.0.2.3": 1, "192.0.2.4": 1}, asked); d != "" {
		t.Errorf("questions (-want +got):\n%s", d)
	}
	now = now.Add(10 * time.Minute)
	check(t, env, onRequest, [][2]any{{`CrowdsecCTI('192.0.2.1').AsNum == 64500`, true}})
	if asked["192.0.2.1"] != 2 {
		t.Errorf("asked %d times once the answer was old", asked["192.0.2.1"])
	}

	status["192.0.2.5"] = http.StatusTooManyRequests
	status["192.0.2.6"] = http.StatusBadGateway
	check(t, env, onRequest, [][2]any{
		{`CrowdsecCTI('192.0.2.6')`, failure("it answers with status 502")},
		{`CrowdsecCTI('192.0.2.5')`, failure("the quota of the CTI is used up")},
		{`CrowdsecCTI('192.0.2.7')`, failure("the quota of the CTI is used up")},
		{`CrowdsecCTI('192.0.2.1').IsOk`, true}, // kept
	})
	now = now.Add(5 * time.Minute)
	check(t, env, onRequest, [][2]any{{`CrowdsecCTI('192.0.2.7').IsOk`, false}})
	if asked["192.0.2.7"] != 1 || asked["192.0.2.5"] != 1 {
		t.Errorf("%v", asked)
	}

	refused := open("wrong")
	check(t, refused, onRequest, [][2]any{
		{`CrowdsecCTI('192.0.2.8')`, failure("refuses the key")},
		{`CrowdsecCTI('192.0.2.9')`, failure("refuses the key")},
	})
	if asked["192.0.2.8"] != 1 || asked["192.0.2.9"] != 0 {
		t.Errorf("%v", asked)
	}
}

func TestLookupHost(t *testing.T) {
	dns := &names{addrs: map[string][]netip.Addr{"a.example": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}}
	check(t, expression.New(expression.Options{Resolver: dns}), onRequest, [][2]any{
		{`LookupHost('a.example')`, []string{"192.0.2.1", "2001:db8::1"}},
		{`LookupHost('b.example')`, []string{}},
		{`LookupHost('192.0.2.7')`, []string{"192.0.2.7"}},
		{`LookupHost('')`, []string{}},
	})
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{{`LookupHost('a.example')`, []string{}}})
}

func TestPlaceFunctions(t *testing.T) {
	country := map[string]any{"iso_code": "FR", "is_in_european_union": true, "names": map[string]any{"fr": "France"}}
	network := func(record map[string]any) []byte {
		return mmdbtest.Database{Type: "x", IPVersion: 6, RecordSize: 28, Networks: map[netip.Prefix]any{netip.MustParsePrefix("192.0.2.0/25"): record}}.Bytes(t)
	}
	geo, err := geoip.New(network(map[string]any{"country": country, "location": map[string]any{"latitude": 45.75}}),
		network(map[string]any{"autonomous_system_number": uint32(64500), "autonomous_system_organization": "Example"}))
	if err != nil {
		t.Fatal(err)
	}
	_, within, _ := net.ParseCIDR("192.0.2.0/25")
	within.IP = within.IP.To4()
	env := expression.New(expression.Options{Geo: geo})
	if env.Geo() != geo || env.Resolver() != nil {
		t.Error("the Env lost what it was given")
	}
	check(t, env, onRequest, [][2]any{
		{`GeoIPEnrich('192.0.2.1').Country.IsoCode`, "FR"},
		{`GeoIPEnrich('192.0.2.1').Country.IsInEuropeanUnion`, true},
		{`GeoIPEnrich('192.0.2.1').Country.Names.fr`, "France"},
		{`GeoIPEnrich('192.0.2.1').Location.Latitude`, 45.75},
		{`GeoIPEnrich('198.51.100.1').Country.IsoCode`, ""},
		{`GeoIPEnrich('nobody')`, nil},
		{`GeoIPEnrich('nobody')?.Country.IsoCode ?? 'none'`, "none"},
		{`GeoIPASNEnrich('192.0.2.1').AutonomousSystemNumber`, uint(64500)},
		{`GeoIPASNEnrich('192.0.2.1').AutonomousSystemOrganization`, "Example"},
		{`GeoIPASNEnrich('198.51.100.1').AutonomousSystemNumber`, uint(0)},
		{`GeoIPASNEnrich('nobody')`, nil},
		{`GeoIPRangeEnrich('192.0.2.1')`, within},
		{`GeoIPRangeEnrich('192.0.2.1').String()`, "192.0.2.0/25"},
		{`GeoIPRangeEnrich('198.51.100.1')`, nil},
		{`GeoIPRangeEnrich('nobody')`, nil},
		{`IPToCountry('192.0.2.1')`, "FR"},
		{`IPToCountry('::ffff:192.0.2.1')`, "FR"},
		{`IPToCountry('198.51.100.1')`, ""},
		{`IPToCountry('nobody')`, ""},
	})
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`GeoIPEnrich('192.0.2.1')`, nil},
		{`GeoIPASNEnrich('192.0.2.1')`, nil},
		{`GeoIPRangeEnrich('192.0.2.1')`, nil},
		{`IPToCountry('192.0.2.1')`, ""},
	})
}
