package appliance

import (
	"net"
	"net/netip"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// TestRememberedThroughSwap: what stashes and the DNS said outlives a change of
// files, and of the configuration as long as the servers are the same.
func TestRememberedThroughSwap(t *testing.T) {
	f := folder{t, t.TempDir()}
	f.write("s/own.yaml", ownScenario)
	f.write("p/s02-enrich/keeps.yaml", "name: own/keeps\nfilter: evt.Meta.service == 'http'\n"+
		"stash: [{name: seen, key: evt.Meta.source_ip, value: evt.Meta.http_path, ttl: 1h, size: 5, strategy: LRU}]\n"+
		"statics: [{meta: kept, value: 'yes'}]\n")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerNames(conn, "friend.example.com.")
	}()
	c := Config{Collections: []string{"none"}, Scenarios: []string{f.dir + "/s"}, Parsers: []string{f.dir + "/p"},
		Resolver: ResolverConfig{Servers: []string{conn.LocalAddr().String()}}}
	a := open(t, c)
	visit(a, from("192.0.2.7"), "/x", 200)
	name := func() (string, bool) {
		return a.live.Load().settings.names.Reverse(t.Context(), netip.MustParseAddr("192.0.2.7"))
	}
	if n, ok := name(); !ok {
		t.Fatalf("the DNS says %q", n)
	}
	conn.Close()
	<-done

	f.write("s/other.yaml", ownScenario)
	looks(t, a, "a new file is taken", func(s WatchStatus) bool { return s.Swaps > 0 })
	p, err := a.live.Load().settings.ruleset.Env.Compile("GetFromStash('seen', '192.0.2.7')", expression.OnEvent, expression.Any)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.String(&expression.Vars{Evt: &event.Event{}}); got != "/x" || err != nil {
		t.Errorf("the stash has %q, %v", got, err)
	}
	if n, ok := name(); !ok || n != "friend.example.com." {
		t.Errorf("without a server the name is %q, %t", n, ok)
	}
}
