package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// traps are two scenarios whose sixth event in an hour overflows: one is decided
// before the request is proxied, the other needs the response.
const traps = `type: leaky
name: early
filter: evt.Meta.log_type == 'http_access-log' && evt.Parsed.request == '/early'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 1h
blackhole: 1m
labels: {remediation: true}
---
type: leaky
name: late
filter: evt.Meta.log_type == 'http_access-log' && evt.Parsed.request == '/late' && evt.Meta.http_status == '404'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 1h
blackhole: 1m
labels: {remediation: true}
`

const trapped = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		collection none
		scenarios {dir}/traps.yaml
	}
}
http://127.0.0.1:{port} {
	rampart
	respond /late 404
	respond "ok" 200
}
`

// BenchmarkLetThrough attacks the proxy over one connection and over 16 at once,
// each attack from a new address and until every connection was refused, and
// counts the requests that were answered beyond those that it takes: five before
// the overflowing request where that one is itself refused, else six. The time is
// from the sixth answer to the first refusal.
func BenchmarkLetThrough(b *testing.B) {
	n := benchNode(b, trapped, false, file{"traps.yaml", traps})
	attack := 0
	for _, kind := range []struct {
		path string
		free int // answers that an attack may get
	}{{"/early", 5}, {"/late", 6}} {
		for _, conns := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", kind.path[1:], conns), func(b *testing.B) {
				through, most, gap := 0, 0, time.Duration(0)
				for b.Loop() {
					attack++
					got, late := n.attack(b, fmt.Sprintf("203.%d.%d.%d", attack>>14&127, attack>>7&127, 1+attack&127), kind.path, conns, kind.free)
					extra := got - kind.free
					if extra < 0 {
						b.Fatalf("%d answers before an overflow that takes six", got)
					}
					through, most, gap = through+extra, max(most, extra), gap+late
				}
				if conns == 1 && kind.path == "/early" && through > 0 {
					b.Errorf("%d requests of one connection were let through", through)
				}
				b.ReportMetric(float64(through)/float64(b.N), "let-through/attack")
				b.ReportMetric(float64(most), "let-through-most")
				b.ReportMetric(float64(gap.Microseconds())/float64(b.N), "µs-to-refusal")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// attack returns how many requests were answered, and how long after the last one
// that an attack has free the first was refused.
func (n *node) attack(b *testing.B, from, path string, conns, free int) (int, time.Duration) {
	b.Helper()
	var answered atomic.Int64
	var full, refused atomic.Int64 // Unix ns
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	for range conns {
		wg.Go(func() {
			conn, err := net.Dial("tcp", "127.0.0.1:"+n.port)
			if err != nil {
				errs <- err
				return
			}
			defer conn.Close()
			for r := bufio.NewReader(conn); ; {
				let, err := n.knock(conn, r, from, path)
				switch {
				case err != nil:
					errs <- err
					return
				case !let:
					refused.CompareAndSwap(0, time.Now().UnixNano())
					return
				case answered.Add(1) == int64(free):
					full.Store(time.Now().UnixNano())
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		b.Fatal(err)
	}
	return int(answered.Load()), time.Duration(max(0, refused.Load()-full.Load()))
}

// knock sends one request and reports whether it was let through.
func (n *node) knock(conn net.Conn, r *bufio.Reader, from, path string) (bool, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX-Forwarded-For: %s\r\n\r\n", path, n.port, from)
	if err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, err
	}
	return resp.Header.Get("X-Rampart-Remediation") == "", nil
}
