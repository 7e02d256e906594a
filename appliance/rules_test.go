package appliance

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// overflows sends what overflows the bucket of ownScenario and returns what became
// of the last request.
func overflows(a *Appliance, ip string) (last *Visit) {
	for range 6 {
		last = visit(a, from(ip), "/x", 200)
	}
	return last
}

const whitePost = `name: own/friends
whitelist:
  reason: a friend
  ip: [192.0.2.7]
`

// TestPostoverflows: they run on what live requests overflow. As long as none of
// them can ask the DNS, the request itself is refused; else a worker concludes.
func TestPostoverflows(t *testing.T) {
	f := folder{t, t.TempDir()}
	own := f.write("own.yaml", ownScenario)
	f.write("p/s01-whitelist/friends.yaml", whitePost)
	c := Config{Collections: []string{none}, Scenarios: []string{own}, Postoverflows: []string{f.dir + "/p"}}
	c.Resolver.Off = true
	a := open(t, c)
	if v := overflows(a, "192.0.2.7"); v.Action != Pass || a.counters.engine.Forgiven.Load() != 1 {
		t.Errorf("a friend met %s, %d overflows were forgiven", v.Action, a.counters.engine.Forgiven.Load())
	}
	if v := overflows(a, "192.0.2.8"); v.Action != Refuse {
		t.Errorf("somebody else met %s", v.Action)
	}
	// Of an address LookupHost knows the answer, but that is not told beforehand.
	f.write("p/s01-whitelist/asks.yaml", "name: own/asks\nwhitelist:\n  reason: many names\n  expression: [\"len(LookupHost('192.0.2.9')) > 1\"]\n")
	c.Resolver.Off, c.DataDir = false, ""
	a = open(t, c)
	if v := overflows(a, "192.0.2.8"); v.Action != Pass {
		t.Errorf("while somebody may have to be asked the request met %s", v.Action)
	}
	until(t, "a worker has concluded", func() bool { return a.Decide(netip.MustParseAddr("192.0.2.8")).Action != 0 })
	if v := overflows(a, "192.0.2.7"); v.Action != Pass {
		t.Errorf("a friend met %s", v.Action)
	}
	until(t, "a worker has forgiven", func() bool { return a.counters.engine.Forgiven.Load() == 1 })
}

// TestRemoteFilters: a scenario or an enricher that asks another machine never runs
// while a request waits.
func TestRemoteFilters(t *testing.T) {
	f := folder{t, t.TempDir()}
	asks := f.write("asks.yaml", "type: trigger\nfilter: evt.Meta.http_path == '/x' && len(LookupHost('example.invalid')) > 5\n")
	own := f.write("own.yaml", ownScenario)
	a := open(t, Config{Collections: []string{none}, Scenarios: []string{own, asks}, Resolver: ResolverConfig{Off: true}})
	if s := a.live.Load().scenarios(); s.Loaded != 2 || len(s.RequestPhase) != 1 || len(s.Blockers) != 0 {
		t.Errorf("%+v", s)
	}
	f.write("p/s02-enrich/names.yaml", "name: own/names\nstatics:\n  - method: reverse_dns\n    expression: evt.Meta.source_ip\n")
	a = open(t, Config{Collections: []string{none}, Scenarios: []string{own}, Parsers: []string{f.dir + "/p"}})
	if s := a.live.Load().scenarios(); len(s.RequestPhase) != 0 || len(s.Blockers) != 1 || s.Blockers[0] != "own/names" {
		t.Errorf("%+v", s)
	}
}

// TestRemoteConclusions: a request does not wait for another machine while what it
// overflowed is concluded, and it is concluded at once where nobody is asked.
func TestRemoteConclusions(t *testing.T) {
	f := folder{t, t.TempDir()}
	const asks = "len(LookupHost('example.invalid')) > 5"
	own := f.write("own.yaml", ownScenario)
	profiles := func(filter string) string {
		return f.write("profiles.yaml", "name: p\nfilters: [\""+filter+"\"]\ndecisions: [{type: ban, duration: 1h}]\non_success: break\n")
	}
	postoverflow := func(dir, body string) []string {
		f.write(dir+"/s01-whitelist/x.yaml", "name: own/x\n"+body)
		return []string{f.dir + "/" + dir}
	}
	for name, tt := range map[string]struct {
		c               Config
		remote, blocked bool
	}{
		"nothing":            {Config{}, false, false},
		"local postoverflow": {Config{Postoverflows: postoverflow("a", "whitelist:\n  reason: mine\n  ip: [192.0.2.1]\n")}, false, false},
		"postoverflow":       {Config{Postoverflows: postoverflow("b", "whitelist:\n  reason: mine\n  expression: [\""+asks+"\"]\n")}, true, false},
		"postoverflow's static": {Config{Postoverflows: postoverflow("c",
			"nodes:\n  - statics:\n    - method: reverse_dns\n      expression: evt.Overflow.Alert.Source.IP\n")}, true, false},
		"profile": {Config{Profiles: profiles(asks)}, true, false},
		"context": {Config{Contexts: []string{f.write("context.yaml", "names: [\"LookupHost(evt.Meta.target_fqdn)\"]\n")}}, true, true},
		"scenario": {Config{Scenarios: []string{f.write("asks.yaml",
			"type: trigger\nfilter: evt.GetType() == 'overflow' && "+asks+"\n")}}, true, false},
		"overflow filter": {Config{Scenarios: []string{f.write("over.yaml",
			"type: trigger\nfilter: evt.Meta.http_path == '/x'\noverflow_filter: "+asks+"\n")}}, true, false},
		"without DNS": {Config{Profiles: profiles(asks), Resolver: ResolverConfig{Off: true}}, false, false},
	} {
		tt.c.Collections, tt.c.Scenarios = []string{none}, append(tt.c.Scenarios, own)
		s, err := Compile(tt.c, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if s.remote != tt.remote || (len(s.blockers) > 0) != tt.blocked {
			t.Errorf("%s: remote %t, blockers %q", name, s.remote, s.blockers)
		}
		if n := len(s.rules.RequestPhase()); !tt.blocked && n != 1 || tt.blocked && n != 0 {
			t.Errorf("%s: %d scenarios run before the response", name, n)
		}
	}
}

// TestResolverServers: the DNS is asked where the configuration says.
func TestResolverServers(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerNames(conn, "friend.example.com.")
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	r, err := ResolverConfig{Servers: []string{"127.0.0.1:9", conn.LocalAddr().String()}, Timeout: Duration(10 * time.Second)}.open()
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.7")); !ok || name != "friend.example.com." {
		t.Errorf("with one of two servers down: %q, %t", name, ok)
	}
	r, err = ResolverConfig{Servers: []string{conn.LocalAddr().String()}}.open()
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.7")); !ok || name != "friend.example.com." {
		t.Errorf("%q, %t", name, ok)
	}
	for text, want := range map[string]string{"192.0.2.53": "192.0.2.53:53", "2001:db8::53": "[2001:db8::53]:53",
		"192.0.2.53:5353": "192.0.2.53:5353", "[2001:db8::53]:5353": "[2001:db8::53]:5353", "dns.example.com": "", "": ""} {
		if got, err := parseServer(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// answerNames answers every question with one name until the connection is closed.
func answerNames(conn net.PacketConn, name string) {
	buf := make([]byte, 1500)
	for {
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
			continue
		}
		q := m.Questions[0]
		m.Header.Response, m.Additionals = true, nil
		if q.Type == dnsmessage.TypePTR {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 60},
				Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name)}}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, peer) // the client asks again
		}
	}
}

// TestHubParsersTakeOver: with the Hub's parsers chosen, the built-in ones for the
// same logs are gone, and a request's target is taken apart once; a changed one of
// the Hub's takes it apart itself.
func TestHubParsersTakeOver(t *testing.T) {
	hub, data := testkit.Shared(t, "hub"), testkit.Shared(t, "hub-data")
	c := Config{Hub: HubConfig{Dir: hub, Data: data}, Collections: []string{"crowdsecurity/base-http-scenarios", "rampart/http"},
		Items: ItemConfig{Parsers: []string{"crowdsecurity/geoip-enrich"}}, Resolver: ResolverConfig{Off: true}}
	s, err := Compile(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if !s.splits() || !s.native["crowdsecurity/http-logs"] || s.native["rampart/http-logs"] || len(s.faults)+len(s.notes) > 0 {
		t.Errorf("native %v, problems %q %q", s.native, s.faults, s.notes)
	}
	f := folder{t, t.TempDir()}
	f.write("s02-enrich/http-logs.yaml", "name: crowdsecurity/http-logs\nfilter: evt.Meta.service == 'http'\nstatics:\n  - parsed: request\n    expression: Split(evt.Parsed.request, '?')[0]\n")
	c.Parsers = []string{f.dir}
	if s, err = Compile(c, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if s.splits() || s.native["crowdsecurity/http-logs"] {
		t.Errorf("with a file of our own: native %v", s.native)
	}
}

// TestCompileNamesItems: what people read when an item is not there.
func TestCompileNamesItems(t *testing.T) {
	for name, tt := range map[string]struct {
		c    Config
		want []string
	}{
		"scenario":   {Config{Items: ItemConfig{Scenarios: []string{"crowdsecurity/ssh-bf"}}}, []string{"scenario crowdsecurity/ssh-bf", "need hub DIR"}},
		"file":       {Config{Items: ItemConfig{Parsers: []string{"/none/s01-parse/x.yaml"}}}, []string{"/none/s01-parse/x.yaml"}},
		"hub":        {Config{Hub: HubConfig{Dir: "/none"}}, []string{"/none", "no such file"}},
		"data":       {Config{Hub: HubConfig{Data: "/none"}}, []string{"/none", "no such file"}},
		"geoip":      {Config{GeoIP: GeoIPConfig{City: "/none.mmdb"}}, []string{"/none.mmdb", "correct the path"}},
		"resolver":   {Config{Resolver: ResolverConfig{Servers: []string{"dns"}}}, []string{`"dns"`, "192.0.2.53"}},
		"simulation": {Config{Simulation: SimulationConfig{File: "/none"}}, []string{"/none"}},
	} {
		_, err := Compile(tt.c, nil)
		for _, w := range tt.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %v does not say %s", name, err, w)
			}
		}
	}
}

// TestSimulation: the file and the words of the configuration add up.
func TestSimulation(t *testing.T) {
	f := folder{t, t.TempDir()}
	file := f.write("simulation.yaml", "simulation: off\nexclusions: [a/b]\n")
	for _, tt := range []struct {
		c    SimulationConfig
		want map[string]bool
	}{
		{SimulationConfig{}, map[string]bool{"a/b": false}},
		{SimulationConfig{On: true, Except: []string{"a/b"}}, map[string]bool{"a/b": false, "c/d": true}},
		{SimulationConfig{Except: []string{"a/b"}}, map[string]bool{"a/b": true, "c/d": false}},
		{SimulationConfig{File: file, Except: []string{"c/d"}}, map[string]bool{"a/b": true, "c/d": true, "e/f": false}},
		{SimulationConfig{File: file, On: true}, map[string]bool{"a/b": false, "e/f": true}},
	} {
		s, err := Compile(Config{Simulation: tt.c}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for scenario, want := range tt.want {
			if got := s.simulation.Simulated(scenario); got != want {
				t.Errorf("%+v: %s is simulated: %t", tt.c, scenario, got)
			}
		}
	}
}
