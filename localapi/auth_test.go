package localapi

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const forbidden = `{"message":"access forbidden"}`

func TestKeys(t *testing.T) {
	d := newDesk(t)
	_, r := d.seen()
	d.with(r, route{http.MethodHead, "/t", bouncer, 0, func(c *call) error { return c.head(200) }})
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{43}$`).MatchString(k) {
		t.Errorf("key %q", k)
	}
	if own, err := d.registry.AddBouncer("own", "fwkey1234567890"); err != nil || own != "fwkey1234567890" {
		t.Fatal(own, err)
	}
	d.do("HEAD", "/t", "", key(k)).want(t, 200, "")
	if b := d.row("fw"); b.IP != "" || b.Type != "" {
		t.Errorf("HEAD left its mark: %+v", b)
	}
	for name, c := range map[string]struct {
		asks []ask
		want int
	}{
		"right":           {[]ask{key(k)}, 200},
		"given":           {[]ask{key("fwkey1234567890")}, 200},
		"none":            {nil, 403},
		"wrong":           {[]ask{key("wrong")}, 403},
		"empty":           {[]ask{key("")}, 403},
		"the hash itself": {[]ask{key(hashKey(k))}, 403},
		"prefix":          {[]ask{key(k[:42])}, 403},
		"as a token":      {[]ask{token(k)}, 403},
	} {
		body := ""
		if c.want == 403 {
			body = forbidden
		}
		if a := d.do("GET", "/t", "", c.asks...); a.status != c.want || a.body != body {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := d.do("HEAD", "/t", "", key("wrong")); a.status != 403 {
		t.Errorf("HEAD with a wrong key: %d", a.status)
	}
	d.must(d.registry.DeleteBouncer("fw"))
	d.do("GET", "/t", "", key(k)).want(t, 403, forbidden)
	if got := d.server.Stats().Refused; got == 0 {
		t.Error("refusals are not counted")
	}
}

func TestRowsForAddresses(t *testing.T) {
	d := newDesk(t)
	got, r := d.seen()
	d.with(r)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	for _, c := range []struct{ from, ua, name, typ, version string }{
		{"10.0.0.1:1", "fw/v1", "fw", "fw", "v1"},
		{"10.0.0.2:1", "fw/v2", "fw@10.0.0.2", "fw", "v2"},
		{"[2001:db8::1]:1", "fw", "fw@2001:db8::1", "fw", "N/A"},
		{"[::ffff:10.0.0.1]:1", "a/b/c", "fw", "a/b/c", "N/A"},
		{"10.0.0.2:9", "other/v1", "fw@10.0.0.2", "other", "v1"},
		{"10.0.0.1:2", "", "fw", "", "N/A"},
	} {
		d.do("GET", "/t", "", key(k), from(c.from), userAgent(c.ua)).want(t, 200, "")
		if got.Name != c.name || got.Type != c.typ || got.Version != c.version {
			t.Errorf("%s %q: row %q, %q %q", c.from, c.ua, got.Name, got.Type, got.Version)
		}
		d.registry.Pulled(got.Name, got.Type, Cursor{Epoch: "e", Journal: int64(len(c.from)), At: d.clock.Now()})
	}
	if got := d.bouncers(); got != "fw fw@10.0.0.2 fw@2001:db8::1" {
		t.Error(got)
	}
	if d := cmp.Diff(map[string]Cursor{"fw": {Epoch: "e", Journal: 10, At: d.clock.Now()}, "other": {Epoch: "e", Journal: 10, At: d.clock.Now()}}, d.row("fw@10.0.0.2").Cursors); d != "" {
		t.Error(d)
	}
	if b := d.row("fw@10.0.0.2"); !b.AutoCreated || b.IP != "10.0.0.2" || b.KeyHash != "" || !b.LastPull.Equal(d.clock.Now()) {
		t.Errorf("%+v", b)
	}
	d.restart()
	got, r = d.seen()
	d.with(r)
	d.do("GET", "/t", "", key(k), from("10.0.0.2:1"), userAgent("fw/v2")).want(t, 200, "")
	if got.Cursors["fw"].Journal != 10 {
		t.Errorf("after a restart: %+v", got)
	}
	d.must(d.registry.DeleteBouncer("fw"))
	if got := d.bouncers(); got != "" {
		t.Errorf("left: %s", got)
	}
	d.do("GET", "/t", "", key(k), from("10.0.0.2:1")).want(t, 403, forbidden)
}

func TestRowForAddressNeverOpensAnothers(t *testing.T) {
	d := newDesk(t)
	got, r := d.seen()
	d.with(r)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	other, err := d.registry.AddBouncer("fw@10.0.0.2", "")
	d.must(err)
	d.do("GET", "/t", "", key(k), from("10.0.0.1:1")).want(t, 200, "")
	d.do("GET", "/t", "", key(k), from("10.0.0.2:1")).want(t, 200, "")
	if got.Name != "fw" {
		t.Errorf("the key of fw opened %s", got.Name)
	}
	d.do("GET", "/t", "", key(other), from("10.0.0.3:1")).want(t, 200, "")
	d.do("GET", "/t", "", key(other), from("10.0.0.4:1")).want(t, 200, "")
	if got.Name != "fw@10.0.0.4" {
		t.Errorf("a row named %s", got.Name)
	}
}

func TestAddressesOfOneKeyAreBounded(t *testing.T) {
	d := newDesk(t)
	_, r := d.seen()
	d.with(r)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	for i := range maxFurther + 11 {
		d.clock.Advance(time.Second)
		d.do("GET", "/t", "", key(k), from(fmt.Sprintf("10.0.%d.%d:1", i/250, i%250))).want(t, 200, "")
	}
	if n := len(d.registry.Bouncers()); n != maxFurther+1 {
		t.Errorf("%d rows", n)
	}
	if names := d.bouncers(); regexp.MustCompile(`fw@10\.0\.0\.1 `).MatchString(names) {
		t.Error("the idlest row stayed")
	}
	d.row(fmt.Sprintf("fw@10.0.%d.%d", (maxFurther+10)/250, (maxFurther+10)%250))
}

func TestEither(t *testing.T) {
	d := newDesk(t)
	var who string
	d.with(route{http.MethodPost, "/e", either, 0, func(c *call) error {
		who = "machine"
		if c.bouncer != nil {
			who = "bouncer"
		}
		return c.empty(200)
	}}, route{http.MethodGet, "/m", machine, 0, func(c *call) error { return c.empty(200) }})
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	d.must(d.registry.AddMachine("m", "pw", false))
	tok := d.login("m", "pw")
	for name, c := range map[string]struct {
		asks []ask
		want int
		who  string
	}{
		"key":           {[]ask{key(k)}, 200, "bouncer"},
		"token":         {[]ask{token(tok)}, 200, "machine"},
		"both":          {[]ask{token(tok), key(k)}, 200, "bouncer"},
		"token, badkey": {[]ask{token(tok), key("x")}, 403, ""},
		"agent alone":   {[]ask{userAgent("crowdsec/v1")}, 401, ""},
		"none":          {nil, 403, ""},
		"bad token":     {[]ask{token("junk")}, 401, ""},
	} {
		who = ""
		if a := d.do("POST", "/e", "", c.asks...); a.status != c.want || who != c.who {
			t.Errorf("%s: %d as %q", name, a.status, who)
		}
	}
	if a := d.do("GET", "/m", "", key(k)); a.status != 401 || a.body != `{"code":401,"message":"cookie token is empty"}` ||
		a.header.Get("Www-Authenticate") != "JWT realm=Crowdsec API local" {
		t.Errorf("a key on a machine's route: %+v", a)
	}
}

func TestPeer(t *testing.T) {
	d := newDesk(t)
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		remote  string
		own     bool
		trusted []netip.Prefix
		asks    []ask
		addr    string
		local   bool
	}{
		"remote":               {"192.0.2.1:1", true, nil, nil, "192.0.2.1", false},
		"loopback":             {"127.0.0.1:1", true, nil, nil, "127.0.0.1", true},
		"loopback 6":           {"[::1]:1", true, nil, nil, "::1", true},
		"mapped":               {"[::ffff:127.0.0.1]:1", true, nil, nil, "127.0.0.1", true},
		"unix socket":          {"@", true, nil, nil, "127.0.0.1", true},
		"unix, no name":        {"", true, nil, nil, "127.0.0.1", true},
		"site":                 {"127.0.0.1:1", false, nil, nil, "127.0.0.1", false},
		"forwarded":            {"127.0.0.1:1", true, nil, []ask{header("X-Forwarded-For", "127.0.0.1")}, "127.0.0.1", false},
		"real ip":              {"127.0.0.1:1", true, nil, []ask{header("X-Real-Ip", "127.0.0.1")}, "127.0.0.1", false},
		"via":                  {"127.0.0.1:1", true, nil, []ask{header("Via", "1.1 x")}, "127.0.0.1", false},
		"forwarded, trusted":   {"127.0.0.1:1", true, proxies, []ask{header("X-Forwarded-For", "192.0.2.7, 10.1.1.1")}, "192.0.2.7", false},
		"forged by the client": {"127.0.0.1:1", true, proxies, []ask{header("X-Forwarded-For", "127.0.0.1, 192.0.2.7")}, "192.0.2.7", false},
		"forged loopback":      {"127.0.0.1:1", true, proxies, []ask{header("X-Forwarded-For", "127.0.0.1")}, "127.0.0.1", false},
		"untrusted":            {"192.0.2.1:1", true, proxies, []ask{header("X-Forwarded-For", "127.0.0.1")}, "192.0.2.1", false},
		"junk":                 {"127.0.0.1:1", true, proxies, []ask{header("X-Forwarded-For", "192.0.2.9, junk")}, "invalid IP", false},
		"told in other words":  {"127.0.0.1:1", true, proxies, []ask{header("Forwarded", "for=192.0.2.9")}, "invalid IP", false},
		"no address":           {"junk", true, nil, nil, "invalid IP", false},
	} {
		d.server.Use(Config{ForwardedFrom: c.trusted})
		r, err := http.NewRequest("GET", "/", nil)
		d.must(err)
		r.RemoteAddr = c.remote
		for _, a := range c.asks {
			a(r)
		}
		if p := d.server.peerOf(r, c.own, nil); p.Addr.String() != c.addr || p.Local != c.local {
			t.Errorf("%s: %+v", name, p)
		}
	}
	r, err := http.NewRequest("GET", "/", nil)
	d.must(err)
	r.RemoteAddr = "127.0.0.1:1"
	if p := d.server.peerOf(r, false, func(*http.Request) netip.Addr { return netip.MustParseAddr("::1") }); p.Local || p.Own {
		t.Errorf("behind a site: %+v", p)
	}
}

// TestStillMay: who listens for long has to be somebody who may call now, not only when
// the call began.
func TestStillMay(t *testing.T) {
	d := newDesk(t)
	now := d.clock.Now()
	shown := &x509.Certificate{Subject: pkix.Name{CommonName: "fw", OrganizationalUnit: []string{"bouncers"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	config := Config{BouncerOUs: []string{"bouncers"}}
	for name, change := range map[string]func(){
		"the certificate is over":     func() { d.clock.Advance(2 * time.Hour) },
		"its unit is not allowed now": func() { d.server.Use(Config{}) },
	} {
		d.server.Use(config)
		c := &call{s: d.server, r: httptest.NewRequest("GET", "/t", http.NoBody), route: &route{who: bouncer}}
		c.r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{shown}}}
		c.peer.Addr = netip.MustParseAddr("192.0.2.1")
		if err := c.stillMay(); err != nil {
			t.Fatalf("%s: before that: %v", name, err)
		}
		change()
		if err := c.stillMay(); err == nil {
			t.Errorf("%s: goes on", name)
		}
		d.clock.Advance(now.Sub(d.clock.Now()))
	}
}
