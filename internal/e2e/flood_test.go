package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// flooded is a node with room for few buckets.
const flooded = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		limits {
			buckets 20000
			sample_bytes 4MiB
			queue 1024
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`

// floodRoom is how much a flooded node may grow, in bytes. It holds 20,000 buckets
// of 80 bytes, their index and the room for distinct values (64 bytes each), and 4
// MiB of samples: 8 MiB. 1,024 queued events of at most 4 KiB are 4 MiB. The
// collector lets the heap double: 24 MiB. The connections of the flood, the pools
// and what the runtime keeps come on top, for which there are 40 MiB.
const floodRoom = 64 << 20

// TestSixFlood sends requests of 10,000 addresses of one /64, which are one
// source, and then of tens of thousands of /64s, for which there is no room.
func TestSixFlood(t *testing.T) {
	n := startNode(t, flooded)
	n.flood(t, 2000, func(i int) string { return fmt.Sprintf("192.0.2.%d", i%250) }) // warm
	until(t, "the queue is empty", n.idle)
	before := n.memory()

	begin := time.Now()
	codes := n.flood(t, 10_000, func(i int) string { return fmt.Sprintf("2001:db8:1:1:%x::%x", i/5000, i) })
	t.Logf("one /64: 10000 requests in %s: %v", time.Since(begin).Round(time.Millisecond), codes)
	until(t, "the queue is empty", n.idle)
	s := n.status()
	if s.Buckets.Buckets > int64(250*s.Scenarios.Loaded+s.Scenarios.Loaded) || s.Buckets.Evicted != 0 {
		t.Errorf("one /64 has %d buckets, %d evicted", s.Buckets.Buckets, s.Buckets.Evicted)
	}
	for _, d := range n.decided("2001:db8:1:1::1") {
		if d.Value != "2001:db8:1:1::/64" {
			t.Errorf("decided about %s", d.Value)
		}
	}

	begin = time.Now()
	const many = 60_000
	codes = n.flood(t, many, func(i int) string {
		if i%100 == 0 {
			return "2001:db8:2:2::1"
		}
		return fmt.Sprintf("2001:db8:%x:%x::1", 0x100+i/5000, i%5000)
	})
	took := time.Since(begin)
	t.Logf("%d /64s in %s, %.0f a second: %v", many, took.Round(time.Millisecond), many/took.Seconds(), codes)
	s, after := n.status(), n.memory()
	t.Logf("buckets %d, evicted %d, dropped %d; memory %d MiB, before %d MiB", s.Buckets.Buckets, s.Buckets.Evicted,
		s.Events.Dropped, after>>20, before>>20)
	if s.Buckets.Buckets > 20_000 || s.Buckets.Evicted == 0 {
		t.Errorf("%d buckets, %d evicted", s.Buckets.Buckets, s.Buckets.Evicted)
	}
	if after > before+floodRoom {
		t.Errorf("memory grew from %d to %d MiB", before>>20, after>>20)
	}
	until(t, "the queue is empty", n.idle)
	if s = n.status(); s.Events.Requests+s.Events.Dropped != 2000+10_000-s.Requests.Responded+many {
		t.Errorf("%d examined and %d dropped of %d, %d challenged", s.Events.Requests, s.Events.Dropped, 72_000, s.Requests.Responded)
	}
	if codes[200] < many*9/10 {
		t.Errorf("the flood's own requests were refused: %v", codes)
	}
	if a := n.send("198.51.100.1", "GET", "/"); a.status != 200 {
		t.Errorf("a visitor got %d", a.status)
	}
	// A scanner in the middle of it is still caught.
	for i := range 60 {
		if n.send("203.0.113.7", "GET", fmt.Sprintf("/.env.%d", i), "Accept", "text/html").status == 403 {
			return
		}
		n.flood(t, 50, func(k int) string { return fmt.Sprintf("2001:db8:%x:%x::1", 0x2000+i, k) })
	}
	t.Error("a scanner among the flood is not caught")
}

// triggered bans every SSH client at its first failure, with room for few bans.
const triggered = `{
	admin {admin}
	rampart {
		data_dir {state}
		scenarios {dir}/once.yaml
		source file {dir}/auth.log
		limits {
			buckets 20000
			sample_bytes 4MiB
			alerts 1000
			decisions 5000
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`

// TestBanFlood bans more sources than there is room for. Those that end first go,
// which is counted; the memory of the process stays within what 5,000 bans of 3 KiB
// take, doubled for the collector, and the room of a flood.
func TestBanFlood(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("once.yaml", "type: trigger\nfilter: evt.Meta.log_type == 'ssh_failed-auth'\ngroupby: evt.Meta.source_ip\nblackhole: 1h\n")
	n.write("Caddyfile", n.expand(triggered))
	n.start()
	n.followed()
	before := n.memory()
	const sources = 20_000
	lines := make([]string, sources)
	for i := range lines {
		lines[i] = sshFailure(time.Now(), "root", fmt.Sprintf("2001:db8:%x:%x::1", 0x100+i/5000, i%5000))
	}
	n.add("auth.log", lines...)
	until(t, "all is read", func() bool { return n.status().Events.Lines == sources })
	s, after := n.status(), n.memory()
	t.Logf("decisions %v, journal %+v; memory %d MiB, before %d MiB", s.Decisions, s.Journal, after>>20, before>>20)
	if s.Decisions["ban"] != 5000 || s.Journal.EvictedDecisions != sources-5000 || s.Journal.Alerts > 6000 {
		t.Errorf("%v in force, journal %+v", s.Decisions, s.Journal)
	}
	if room := int64(floodRoom + 2*5000*3<<10); after > before+room {
		t.Errorf("memory grew from %d to %d MiB", before>>20, after>>20)
	}
	if ds := n.decided("2001:db8:103:1387::1"); len(ds) != 1 {
		t.Errorf("the latest source: %+v", ds)
	}
}

func (n *node) idle() bool { return n.status().Events.Queued == 0 }

// scan asks for what is not there until the address is banned.
func (n *node) scan(from string) {
	n.t.Helper()
	asked := 0
	until(n.t, "the scanner is banned", func() bool {
		asked++
		return n.send(from, "GET", fmt.Sprintf("/.env.%d", asked), "User-Agent", "Mozilla/5.0").remediation() == "ban"
	})
}

// memory is the resident memory of the node, in bytes.
func (n *node) memory() int64 { return n.resident("VmRSS") }

// resident is a figure of the node's resident memory, in bytes.
func (n *node) resident(field string) int64 {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Skipf("reading the node's memory: %v", err)
	}
	m := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		n.t.Fatalf("no %s in %s", field, b)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return kb << 10
}

// flood sends requests of many clients over a few connections, each with many
// under way, and returns how often each status came back.
func (n *node) flood(t *testing.T, count int, client func(i int) string) map[int]int {
	t.Helper()
	const connections = 4
	results := make(chan map[int]int, connections)
	for c := range connections {
		go func() { results <- n.pipeline(t, c, connections, count, client) }()
	}
	codes := map[int]int{}
	for range connections {
		for code, times := range <-results {
			codes[code] += times
		}
	}
	return codes
}

// pipeline sends what a page would fetch: a program's requests would go from the
// challenge to a ban, whose answer ends the connection.
func (n *node) pipeline(t *testing.T, first, step, count int, client func(i int) string) map[int]int {
	codes := map[int]int{}
	conn, err := net.Dial("tcp", "127.0.0.1:"+n.port)
	if err != nil {
		t.Error(err)
		return codes
	}
	defer conn.Close()
	go func() {
		w := bufio.NewWriterSize(conn, 32<<10)
		for i := first; i < count; i += step {
			fmt.Fprintf(w, "GET /page HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUser-Agent: Mozilla/5.0\r\n"+
				"Referer: http://127.0.0.1/\r\nX-Forwarded-For: %s\r\n\r\n", n.port, client(i))
		}
		_ = w.Flush() // a broken connection shows in what is read
	}()
	r := bufio.NewReader(conn)
	for i := first; i < count; i += step {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("response %d: %v", i, err)
			return codes
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		codes[resp.StatusCode]++
	}
	return codes
}
