package expression_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// names is a DNS that counts what it is asked.
type names struct {
	confirmed map[string][]string
	addrs     map[string][]netip.Addr
	asked     int
}

func (n *names) Confirmed(_ context.Context, a netip.Addr) []string {
	n.asked++
	return n.confirmed[a.String()]
}

func (n *names) Forward(_ context.Context, host string) ([]netip.Addr, bool) {
	n.asked++
	return n.addrs[host], n.addrs[host] != nil
}

func (n *names) Reverse(_ context.Context, a netip.Addr) (string, bool) {
	n.asked++
	return "", false
}

const bots = `# ours
{"name":"crawler","user_agent":"Crawler","rdns":["(^|\\.)crawl\\.example$"]}
{"name":"probe","ips":["192.0.2.10","::ffff:192.0.2.11"],"ranges":["198.51.100.77/24","2001:db8::/32"],"paths":["^/health","^/STATUS$"]}
`

func TestMatchKnownBot(t *testing.T) {
	dns := &names{confirmed: map[string][]string{
		"192.0.2.1": {"a.example.", "X1.Crawl.Example."}, "192.0.2.2": {"crawl.example.attacker.test."}, "192.0.2.3": {"evilcrawl.example."},
	}}
	env := expression.New(expression.Options{Resolver: dns, Data: fstest.MapFS{"bots.json": {Data: []byte(bots)}, "more.json": {
		Data: []byte(`{"name":"any","ips":["203.0.113.1"]}` + "\n")}}})
	for _, name := range []string{"bots.json", "more.json"} {
		if err := env.AddData(expression.DataFile{DestFile: name, Type: "bots"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		arguments string
		want      bool
		asked     int
	}{
		{`'192.0.2.1', 'the crawler 1.0', '/', 'bots.json'`, true, 1}, // the second name, whatever its case
		{`'192.0.2.1:443', 'CRAWLER', '/', 'bots.json'`, true, 1},
		{`'192.0.2.1', 'curl', '/', 'bots.json'`, false, 0}, // the name cannot decide: not asked
		{`'192.0.2.2', 'crawler', '/', 'bots.json'`, false, 1},
		{`'192.0.2.3', 'crawler', '/', 'bots.json'`, false, 1},
		{`'192.0.2.9', 'crawler', '/', 'bots.json'`, false, 1},
		{`'192.0.2.10', 'curl', '/health/x', 'bots.json'`, true, 0},
		{`'192.0.2.11', 'curl', '/status', 'bots.json'`, true, 0},
		{`'::ffff:192.0.2.10', 'curl', '/HEALTH', 'bots.json'`, true, 0},
		{`'192.0.2.10', 'curl', '/', 'bots.json'`, false, 0},
		{`'198.51.100.1', 'curl', '/health', 'bots.json'`, true, 0},
		{`'[2001:db8::7]:80', '', '/health', 'bots.json'`, true, 0},
		{`'2001:db8::7%eth0', '', '/health', 'bots.json'`, true, 0},
		{`'203.0.113.1', 'crawler', '/', 'bots.json', 'more.json'`, true, 0}, // addresses of all files come before names
		{`'203.0.113.1', '', '/', 'more.json'`, true, 0},
		{`'203.0.113.1', '', '/', 'none.json'`, false, 0},
		{`'203.0.113.1', '', '/'`, false, 0},
		{`'nobody', 'crawler', '/health', 'bots.json', 'more.json'`, false, 0},
		{`'', 'crawler', '/health', 'bots.json'`, false, 0},
	} {
		dns.asked = 0
		got, err := evaluate(t, env, "MatchKnownBot("+c.arguments+")", onRequest())
		if got != c.want || err != nil || dns.asked != c.asked {
			t.Errorf("%s: %v, error %v, %d questions", c.arguments, got, err, dns.asked)
		}
	}
	check(t, expression.New(expression.Options{}), onRequest, [][2]any{
		{`MatchKnownBot('192.0.2.1', 'crawler', '/', 'bots.json')`, false},
		{`MatchKnownBot('192.0.2.1', 'crawler', '/', evt.Unmarshaled.x)`, failure("MatchKnownBot: argument 4 is nothing (nil)")},
	})
}

func TestBotLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"name":"a","ips":["192.0.2.1"],"port":80}`: `unknown field "port"`,
		`{"name":"a","ips":["192.0.2.1"]} {}`:        "something stands behind",
		`{"ips":["192.0.2.1"]}`:                      "name is needed",
		`{"name":"a","user_agent":"x"}`:              "ips, ranges or rdns is needed",
		`{"name":"a","ips":["192.0.2"]}`:             "reading ips",
		`{"name":"a","ranges":["192.0.2.1"]}`:        "reading ranges",
		`{"name":"a","rdns":[""]}`:                   "a pattern of rdns is empty",
		`{"name":"a","rdns":["("]}`:                  "compiling rdns",
		`{"name":"a","rdns":["x"],"paths":["("]}`:    "compiling paths",
		`{"name":"a","rdns":["x"],"user_agent":"("}`: "compiling user_agent",
		`{"name":1,"rdns":["x"]}`:                    "not the JSON object of a bot",
		`[]`:                                         "not the JSON object of a bot",
		`{`:                                          "not the JSON object of a bot",
	} {
		env := expression.New(expression.Options{Data: fstest.MapFS{"b": {Data: []byte(line + "\n" + `{"name":"good","ips":["192.0.2.1"]}`)}}})
		err := env.AddData(expression.DataFile{DestFile: "b", Type: "bots"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "b:1: ") {
			t.Errorf("%s: %v", line, err)
		}
		if got, err := evaluate(t, env, "MatchKnownBot('192.0.2.1', '', '', 'b')", onRequest()); got != true || err != nil {
			t.Errorf("%s: the good line is not in force: %v, %v", line, got, err)
		}
	}
}

// Whatever a line says, it is a bot or an error, and without a DNS it lets nobody in
// whose address it does not name.
func FuzzBotLine(f *testing.F) {
	for line := range strings.Lines(bots) {
		f.Add(strings.TrimSpace(line))
	}
	f.Add(`{"name":"a","rdns":["("],"ips":["::1"]}`)
	f.Add(`{"NAME":"a","Ranges":["203.0.113.0/24"]}`)
	stranger := netip.MustParseAddr("203.0.113.99")
	f.Fuzz(func(t *testing.T, text string) {
		env := expression.New(expression.Options{Data: fstest.MapFS{"b": {Data: []byte(text)}}})
		_ = env.AddData(expression.DataFile{DestFile: "b", Type: "bots"})
		got, err := evaluate(t, env, `MatchKnownBot('203.0.113.99', 'crawler', '/health', 'b')`, onRequest())
		named := false
		for line := range strings.Lines(text) {
			var b struct{ IPs, Ranges []string }
			_ = json.Unmarshal([]byte(line), &b)
			for _, ip := range b.IPs {
				a, err := netip.ParseAddr(ip)
				named = named || err == nil && a.Unmap() == stranger
			}
			for _, r := range b.Ranges {
				p, err := netip.ParsePrefix(r)
				named = named || err == nil && p.Contains(stranger)
			}
		}
		if err != nil || got == true && !named {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	})
}

// The files of the Hub load without a fault.
func TestHubBots(t *testing.T) {
	dir := testkit.Shared(t, "hub-data", "whitelists", "benign_bots", "legit_bots")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	env := expression.New(expression.Options{Data: os.DirFS(dir), Resolver: &names{confirmed: map[string][]string{
		"192.0.2.1": {"crawl-1.googlebot.com."}, "192.0.2.2": {"crawl-1.googlebot.com.attacker.test."}}}})
	var list []string
	for _, f := range files {
		list = append(list, "'"+f.Name()+"'")
		if err := env.AddData(expression.DataFile{DestFile: f.Name(), Type: "bots"}); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(list)
	all := strings.Join(list, ", ")
	check(t, env, onRequest, [][2]any{
		{`MatchKnownBot('192.0.2.1', 'Mozilla/5.0 (compatible; Googlebot/2.1)', '/', ` + all + `)`, true},
		{`MatchKnownBot('192.0.2.2', 'Mozilla/5.0 (compatible; Googlebot/2.1)', '/', ` + all + `)`, false},
		{`MatchKnownBot('192.0.2.1', 'Mozilla/5.0', '/', ` + all + `)`, false},
		{`MatchKnownBot('23.21.227.69', 'DuckDuckBot/1.0', '/', ` + all + `)`, true},
	})
}
