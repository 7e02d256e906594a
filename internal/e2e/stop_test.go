package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// slowSix counts answered requests that take their time.
const slowSix = `
name: answered
type: leaky
filter: evt.Meta.http_path startsWith '/slow' && evt.Meta.http_status == '200'
groupby: evt.Meta.source_ip
capacity: 1
leakspeed: 10h
labels: {remediation: false}
`

// TestStopFinishes: a request on its way when the node is told to stop is answered,
// and still counts: its event is in the buckets that the next run takes over.
func TestStopFinishes(t *testing.T) {
	up := newUpstream(t)
	n := newNode(t)
	n.write("own.yaml", slowSix)
	n.write("app.log", "")
	n.write("Caddyfile", n.expand(strings.Replace(restarting, `respond "hello" 200`, "reverse_proxy "+up.address, 1)))
	n.start()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get(n.url + "/slow?d=1500ms")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(b)
	}()
	until(t, "the request is on its way", func() bool { return up.slowRequests.Load() == 1 })
	n.signal(syscall.SIGTERM)
	if body := <-got; body != "at last" {
		t.Errorf("the request got %q", body)
	}
	n.start()
	if s := n.status(); !s.LastStop.Clean || s.LastStop.Restored != 1 {
		t.Errorf("last stop %+v, want one bucket", s.LastStop)
	}
	n.send("", "GET", "/slow?d=1ms")
	until(t, "the second answer overflows", func() bool { return len(n.alerts("scenario=answered")) == 1 })
}

// TestFailedReloadKeepsBuckets: a configuration without a scenario that fails for
// another reason, before or after it was put in force (Caddy starts apps in random
// order), costs none of the scenario's buckets.
func TestFailedReloadKeepsBuckets(t *testing.T) {
	n := newRestarting(t)
	n.login("203.0.113.1", 5)
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer occupied.Close()
	bad := strings.Replace(restarting, "scenarios {dir}/own.yaml", "", 1) +
		"http://" + occupied.Addr().String() + " {\n\trampart\n}\n"
	for range 6 {
		if err := n.reload(bad); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("reloading: %v", err)
		}
		if s := n.status(); s.Scenarios.Loaded != 2 || s.Buckets.Buckets != 1 {
			t.Fatalf("%d scenarios, %d buckets", s.Scenarios.Loaded, s.Buckets.Buckets)
		}
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth request met %q", a.remediation())
	}
}
