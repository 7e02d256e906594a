package e2e

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

const (
	heldBuckets   = 10_000
	heldDecisions = 1000
)

// fillScenario overflows at the fifth request of a client, however long it takes.
const fillScenario = `---
name: fill
type: leaky
filter: evt.Meta.http_path == '/fill'
groupby: evt.Meta.source_ip
capacity: 4
leakspeed: 10h
labels:
  service: http
  remediation: true
`

const addedScenario = `
name: added
type: trigger
filter: evt.Meta.http_path == '/added'
labels: {remediation: false}
`

const banProfile = `
name: bans
filters:
  - Alert.Remediation == true
decisions:
  - type: ban
    duration: 77m
`

// reloading is a configuration with places for what changes.
type reloading struct {
	site    string // value of a header of the site's, to tell configurations apart
	rampart string // more options of the global block
	content string // collections, "none" if empty
	dir     string // data directory, {state} if empty
	more    string // more sites
}

func (r reloading) caddyfile(up string) string {
	return strings.NewReplacer("{state}", cmp.Or(r.dir, "{state}"), "{content}", cmp.Or(r.content, "none"), "{rampart}", r.rampart, "{site}", r.site, "{more}", r.more, "{up}", up).Replace(`{
	admin {admin}
	grace_period 10s
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		collection {content}
		scenarios {dir}/scenarios.d
		source file {dir}/app.log {
			labels type=nginx
			from_start
		}
		limits {
			alerts 100000
		}
		{rampart}
	}
}
http://127.0.0.1:{port} {
	rampart
	header X-Site {site}
	reverse_proxy {up} {
		stream_close_delay 10m
	}
}
{more}
`)
}

// reloadStep is one reload and what must then be so.
type reloadStep struct {
	name  string
	with  reloading
	fails string // part of the error, for those that must fail
	check reloadCheck
}

// reloadStage is everything that must live through reloads.
type reloadStage struct {
	t       *testing.T
	n       *node
	up      *upstream
	clients []string
	socket  *websocket.Conn
	site    string // in force
	slow    sync.WaitGroup
}

// TestReload: ten reloads, each with another configuration, three of them failing,
// with half-full buckets, decisions, a log that grows, an open WebSocket and slow
// requests: nothing is lost, and after a failed one everything is as before.
func TestReload(t *testing.T) {
	s := newReloadStage(t)
	writer := s.n.appendLines("app.log", 5*time.Millisecond)
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	stop := s.hammer()
	steps := s.steps(occupied.Addr().String())
	failing := 0
	for i, step := range steps {
		t.Logf("reload %d: %s", i+1, step.name)
		s.startSlow()
		if i%4 == 3 { // logs are rotated whenever they like
			must(t, os.Rename(s.n.path("app.log"), s.n.path(fmt.Sprintf("app.log.%d", i))))
		}
		err := s.n.reload(step.with.caddyfile(s.up.address))
		switch {
		case step.fails == "" && err != nil:
			t.Fatalf("%s: %v", step.name, err)
		case step.fails == "":
			s.site = step.with.site
		case err == nil:
			t.Fatalf("%s: the reload was accepted", step.name)
		case !strings.Contains(err.Error(), step.fails):
			t.Errorf("%s: the error does not say %q: %v", step.name, step.fails, err)
			fallthrough
		default:
			failing++
		}
		s.whole(step.name)
		step.check(s)
	}
	if len(steps) < 10 || failing < 3 {
		t.Errorf("%d reloads, %d of them failing", len(steps), failing)
	}
	stop()
	s.slow.Wait()
	total := writer.halt()
	until(t, "the last line is counted", func() bool { return s.n.linesSeen()[fmt.Sprintf("/line/%d", total-1)] > 0 })
	seen := s.n.pouredLines(total, 0)
	for i := 1; i <= 5; i++ {
		path := fmt.Sprintf("/line/other-%d", i)
		if seen[path] != 1 {
			t.Errorf("%s was counted %d times", path, seen[path])
		}
		delete(seen, path)
	}
	if len(seen) != total {
		t.Errorf("%d lines were written, %d others counted", total, len(seen)-total)
	}
	s.overflowAll()
}

// hammer has clients overflow their buckets all the while, each with five requests
// on connections of their own, and checks that it is the fifth that is refused,
// whatever is reloaded in between. The function returned ends it.
func (s *reloadStage) hammer() (stop func()) {
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		// With a configuration that bans at once or challenges at once a refusal is a
		// refusal; clients are not used again.
		for i := 0; ; i++ {
			from := fmt.Sprintf("2001:db8:%x::1", i)
			for n := 1; n <= 5; n++ {
				select {
				case <-end:
					return
				default:
				}
				status := s.try(from)
				for status == 0 { // the kernel drops what waited on a socket that is closed
					status = s.try(from)
				}
				if (status != 200) != (n == 5) {
					s.t.Errorf("%s got %d at request %d", from, status, n)
				}
			}
			// The admin endpoint is replaced by a reload, too.
			_, err := s.n.try("DELETE", "/rampart/decisions?ip="+from, nil)
			for range 5 {
				if err != nil {
					_, err = s.n.try("DELETE", "/rampart/decisions?ip="+from, nil)
				}
			}
			if err != nil {
				s.t.Error(err)
			}
		}
	}()
	return func() {
		close(end)
		done.Wait()
	}
}

// try makes one request and returns the status, 0 if the connection broke before
// an answer.
func (s *reloadStage) try(from string) int {
	c, err := net.Dial("tcp", "127.0.0.1:"+s.n.port)
	if err != nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /fill HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: %s\r\nConnection: close\r\n\r\n", from)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newReloadStage(t *testing.T) *reloadStage {
	t.Helper()
	s := &reloadStage{t: t, up: newUpstream(t), clients: clientsOf(10, heldBuckets), site: "0"}
	n := newNode(t)
	s.n = n
	n.write("scenarios.d/own.yaml", fillScenario+lineScenario)
	n.write("added.yaml", addedScenario)
	n.write("broken.yaml", "name: broken\ntype: leaky\nfilter: evt.Meta.http_path ==\n")
	n.write("profiles.yaml", banProfile)
	n.write("app.log", "")
	n.write("other.log", "")
	n.write("Caddyfile", n.expand(reloading{site: "0"}.caddyfile(s.up.address)))
	n.start()
	for range 3 {
		if got := n.bulk("/fill", s.clients); got[200] != heldBuckets {
			t.Fatalf("filling buckets: %v", got)
		}
	}
	for i := range heldDecisions {
		ask[appliance.DecisionAnswer](n, "POST", "/rampart/decisions",
			appliance.DecisionRequest{Value: fmt.Sprintf("198.18.%d.%d", i/250, i%250), Duration: "2h"})
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+n.port+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	s.socket = ws
	s.whole("before")
	return s
}

// startSlow begins a request of three seconds under the configuration in force.
func (s *reloadStage) startSlow() {
	site, before := s.site, s.up.slowRequests.Load()
	began := make(chan struct{})
	s.slow.Add(1)
	go func() {
		defer s.slow.Done()
		c, err := net.Dial("tcp", "127.0.0.1:"+s.n.port)
		if err != nil {
			s.t.Error(err)
			close(began)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /slow?d=3s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		close(began)
		_ = c.SetDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(c)
		if got := string(b); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "at last") ||
			!strings.Contains(got, "X-Site: "+site+"\r\n") {
			s.t.Errorf("a slow request of configuration %s got %q, %v", site, got, err)
		}
	}()
	<-began
	until(s.t, "the upstream has it", func() bool { return s.up.slowRequests.Load() > before })
}

// whole checks that everything is there.
func (s *reloadStage) whole(after string) {
	s.t.Helper()
	st := s.n.status()
	// The clients that hammer have one bucket and one decision at most.
	if got := int(st.Buckets.Buckets); got != heldBuckets && got != heldBuckets+1 {
		s.t.Errorf("%s: %d buckets, want %d", after, got, heldBuckets)
	}
	if got := len(ask[[]decisions.Decision](s.n, "GET", "/rampart/decisions?scenario=manual", nil)); got != heldDecisions || st.Suppressed != 0 {
		s.t.Errorf("%s: %d bans in force (%d suppressed), want %d", after, got, st.Suppressed, heldDecisions)
	}
	if len(st.Problems) != 0 || st.Events.Dropped != 0 {
		s.t.Errorf("%s: problems %q, %d events dropped", after, st.Problems, st.Events.Dropped)
	}
	if a := s.n.send("198.18.1.1", "GET", "/"); a.status != http.StatusForbidden {
		s.t.Errorf("%s: a banned client got %d", after, a.status)
	}
	if a := s.n.send("198.51.100.1", "GET", "/"); a.status != 200 || a.header.Get("X-Site") != s.site {
		s.t.Errorf("%s: %d from site %q, want %q", after, a.status, a.header.Get("X-Site"), s.site)
	}
	if err := s.socket.WriteMessage(websocket.TextMessage, []byte(after)); err != nil {
		s.t.Fatalf("%s: the websocket: %v", after, err)
	}
	if _, b, err := s.socket.ReadMessage(); err != nil || string(b) != after {
		s.t.Fatalf("%s: the websocket: %q, %v", after, b, err)
	}
}

// overflowAll fills the buckets to the brim, where none may overflow, and then a
// sample of them beyond it, where each must.
func (s *reloadStage) overflowAll() {
	s.t.Helper()
	if got := s.n.bulk("/fill", s.clients); got[200] != heldBuckets {
		s.t.Errorf("the fourth request of each client: %v", got)
	}
	overflows := func() int { return len(s.n.alerts("scenario=fill&limit=10000")) }
	before := overflows()
	sample := make([]string, 0, heldBuckets/20)
	for i := 0; i < heldBuckets; i += 20 {
		sample = append(sample, s.clients[i])
	}
	for _, from := range sample {
		if got := s.n.decided(from); len(got) != 0 {
			s.t.Fatalf("%s was decided about too soon: %+v", from, got)
		}
	}
	if got := s.n.bulk("/fill", sample); got[200] != 0 {
		s.t.Errorf("the fifth request of some clients: %v", got)
	}
	if got := overflows() - before; got != len(sample) {
		s.t.Errorf("%d buckets overflowed, want %d", got, len(sample))
	}
}
