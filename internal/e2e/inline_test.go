package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
)

// chunk is how many bytes of an event's fields one observer carries; the value of
// a source is cut at 1 KiB.
const chunk = 1000

// observers is how many chunks are looked at: enough for a path at the limit of
// header size, which an event holds four times. The test fails if the last one
// sees anything.
const observers = 72

// observe returns scenarios that report every web request with all its fields.
// They are plain content: the node needs no hook, and what they see is what any
// scenario sees. The same file watches live requests and replayed log lines.
//
// The sum in the filter only spares time: it is more than the fields can be long.
//
// Left out of the comparison, since only a line has them:
//   - Parsed.message is the line itself;
//   - Meta.datasource_path and datasource_type name the file it came from;
//   - Meta.timestamp is the time that the line carries.
func observe() string {
	const fields = `join(concat(` +
		`sort(map(filter(toPairs(evt.Meta), #[0] not in ["datasource_path", "datasource_type", "timestamp"]), "Meta." + #[0] + "=" + #[1])), ` +
		`sort(map(filter(toPairs(evt.Parsed), #[0] != "message"), "Parsed." + #[0] + "=" + #[1]))), "\n")`
	var b strings.Builder
	for i := range observers {
		fmt.Fprintf(&b, `---
name: observe-%03[1]d
type: trigger
filter: |-
  evt.Meta.service == 'http' && len(evt.Meta.http_path) * 16 + len(evt.Meta.http_user_agent) * 8 + 800 > %[3]d && %[2]s[%[3]d:] != ''
scope:
  type: Fields
  expression: |-
    %[2]s[%[3]d:%[4]d]
labels:
  remediation: false
`, i, fields, i*chunk, (i+1)*chunk)
	}
	return b.String()
}

// never is a scenario that runs before the request is proxied and never matches:
// with it, the enrichment stage has no response yet.
const never = "name: never\ntype: trigger\nfilter: evt.Meta.http_path == '/never' && evt.Meta.http_verb == 'NEVER'\n"

// oddSite has handlers of many kinds behind the directive. {log} stands for the
// access log, {up} for the upstream's address.
const oddSite = `
	log {
		output file {dir}/access.log
	}
	rampart
	basic_auth /private* {
		someone $2a$04$MEYgVYOc7LYI3jwNPmGZgOHOAXapqxFjFgrQRxaEG7vwsEEaFl8bG
	}
	header /forged WWW-Authenticate "Basic realm=forged"
	respond /forged 401
	header /basicish WWW-Authenticate "basic realm=lower"
	respond /basicish "no" 401
	error /error/404* 404
	error /error/418* "short and stout" 418
	error /error/500* 500
	error /error/502* 502
	redir /moved* /elsewhere 308
	rewrite /rewritten* /status/206?was=rewritten
	encode /zipped* gzip
	respond /zipped* "{dir} zip zip zip zip zip zip zip zip zip zip zip zip zip zip zip" 200
	respond /nothing* 204
	respond /closed* 200 {
		close
	}
	abort /abort*
	file_server /files/* {
		root {dir}
	}
	@up path /status/* /auth/* /events* /socket* /slow* /hints* /body* /large* /dies* /cut* /upstream*
	reverse_proxy @up {up} {
		stream_close_delay 1m
		flush_interval -1
	}
	reverse_proxy /gone* 127.0.0.1:9
`

// oddNode is the node that the odd requests go to. Port {port} speaks HTTP/1 and
// h2c, {port2} has error routes, {port3} rewrites before the directive, {tls}
// speaks TLS and QUIC.
const oddNode = `{
	admin {admin}
	skip_install_trust
	auto_https disable_redirects
	grace_period 1s
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
		protocols h1 h2 h2c h3
	}
	rampart {
		data_dir {state}
		collection none
		scenarios {dir}/observe.yaml {extra}
		limits {
			alerts 100000
		}
	}
}
http://:{port} {` + oddSite + `}
http://:{port2} {` + oddSite + `
	handle_errors 404 {
		respond "nothing here: {err.status_code}" 410
	}
	handle_errors 401 {
		header -WWW-Authenticate
		respond "no" 403
	}
	handle_errors 500 {
		error 503
	}
	handle_errors 418 {
		reverse_proxy {up}
	}
	handle_errors 499 {
		respond "gone already" 444
	}
}
http://:{port3} {
	log {
		output file {dir}/access.log
	}
	handle_path /app/* {
		rampart
		respond "app {path}"
	}
	route {
		method PATCH
		uri replace /old /new
		rewrite /all/* /one{path}?{query}&more=1
		rampart
		respond "routed {uri}"
	}
}
https://localhost:{tls} {
	tls internal
` + oddSite + `}
`

// TestInlineEqualsLogged: what scenarios see of a live request is what they see of
// the line that Caddy's own access log has for it. The requests are odd ones; each
// comes from an address of its own, by which the two are matched.
func TestInlineEqualsLogged(t *testing.T) {
	for _, c := range []struct{ name, extra, phase string }{
		{"request phase", "{dir}/never.yaml", "never"},
		{"response only", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := newUpstream(t)
			n := newNode(t)
			n.write("observe.yaml", observe())
			n.write("never.yaml", never)
			n.write("files/page.html", "<p>a page")
			n.write("files/big.bin", strings.Repeat("0123456789abcdef", 1<<16))
			ports := strings.NewReplacer("{up}", up.address, "{extra}", c.extra,
				"{port2}", freePort(t), "{port3}", freePort(t), "{tls}", freePort(t))
			n.write("Caddyfile", n.expand(ports.Replace(oddNode)))
			n.start()
			if got := strings.Join(n.status().Scenarios.RequestPhase, ","); got != c.phase {
				t.Fatalf("scenarios of the request phase: %q, want %q", got, c.phase)
			}
			odd := &oddClient{node: n, t: t, port2: ports.Replace("{port2}"), port3: ports.Replace("{port3}"), tls: ports.Replace("{tls}")}
			odd.all()
			if len(odd.about) < 1000 {
				t.Fatalf("only %d requests reached a handler", len(odd.about))
			}
			compareInline(t, n, odd)
		})
	}
}

// compareInline waits until everything sent has been seen and logged, and compares.
func compareInline(t *testing.T, n *node, odd *oddClient) {
	t.Helper()
	want := len(odd.about)
	defer func() {
		if got := strings.Count(n.read("access.log"), "\n"); got != want {
			t.Errorf("%d requests sent, %d logged", want, got)
		}
	}()
	until(t, fmt.Sprintf("%d requests are logged", want), func() bool {
		return strings.Count(n.read("access.log"), "\n") >= want
	})
	until(t, fmt.Sprintf("%d requests are observed", want), func() bool {
		s := n.status()
		return s.Events.Requests >= int64(want) && s.Events.Queued == 0
	})
	if s := n.status(); s.Events.Requests != int64(want) || s.Events.Dropped != 0 {
		t.Errorf("%d requests sent, %d observed, %d dropped", want, s.Events.Requests, s.Events.Dropped)
	}
	var live []event.Alert
	for i := range observers {
		live = append(live, n.alerts(fmt.Sprintf("limit=10000&scenario=observe-%03d", i))...)
	}
	out, err := n.command("replay", "--type", "caddy", "--collection", "none", "--scenario", n.path("observe.yaml"),
		"-q", "-o", "json", n.path("access.log")).Output()
	if err != nil {
		t.Fatalf("replaying: %v", err)
	}
	var logged []event.Alert
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var a event.Alert
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		logged = append(logged, a)
	}
	inline, lines := fieldsByClient(t, live), fieldsByClient(t, logged)
	if len(inline) != want || len(lines) != want {
		t.Errorf("%d requests, %d clients live, %d in the log", want, len(inline), len(lines))
	}
	wrong := 0
	for _, client := range slices.Sorted(maps.Keys(odd.about)) {
		if inline[client] == lines[client] && inline[client] != "" {
			continue
		}
		if wrong++; wrong <= 25 {
			t.Errorf("%s (%s): live and logged differ (-logged +live):\n%s", odd.about[client], client,
				cmp.Diff(strings.Split(lines[client], "\n"), strings.Split(inline[client], "\n")))
		}
	}
	for client := range lines {
		if odd.about[client] == "" {
			t.Errorf("%s is in the log, although it was told that its request is none:\n%s", client, lines[client])
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d differ", wrong, want)
	}
}

// fieldsByClient joins what the observers reported.
func fieldsByClient(t *testing.T, alerts []event.Alert) map[string]string {
	t.Helper()
	slices.SortStableFunc(alerts, func(a, b event.Alert) int { return strings.Compare(a.Scenario, b.Scenario) })
	out := map[string]string{}
	for _, a := range alerts {
		if a.Scenario == fmt.Sprintf("observe-%03d", observers-1) {
			t.Fatalf("an event has more fields than %d observers can report", observers)
		}
		if len(a.Events) != 1 {
			t.Fatalf("an alert with %d events", len(a.Events))
		}
		out[a.Events[0].Meta.Get("source_ip")] += a.Source.Value
	}
	return out
}
