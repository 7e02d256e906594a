//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// reputationSize is how many addresses the list has.
const reputationSize = 1_000_000

// BenchmarkReputation is what a list of a million addresses costs a node that serves a
// site and the Local API: processor time, memory, what visitors notice, and what the
// stream tells of it. With nftables the node is in a network namespace, which needs
// root.
func BenchmarkReputation(b *testing.B) {
	for _, c := range []struct {
		name  string
		stage func(b *testing.B) *reputation
	}{{"dry-run", dryReputation}, {"nftables", wiredReputation}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() { // all that follows is done once; reports before the loop would be lost
			}
			b.ReportMetric(0, "ns/op")
			r := c.stage(b)
			r.fetch(b)
			r.stream(b)
			r.importFile(b)
			r.check()
		})
	}
}

// reputation is a node with a feed, whose file is not there yet.
type reputation struct {
	*crowd
	site func() (net.Conn, error)
	all  []netip.Addr // of the list
}

const reputationFeed = "api {\n\t\t\tsocket {dir}/l.sock\n\t\t}\n\t\tlist crowd file://{dir}/list {\n\t\t\tevery 24h\n\t\t}\n"

func newReputation(n *node, site func() (net.Conn, error)) *reputation {
	r := &reputation{crowd: newCrowd(n, "http://lapi"), site: site, all: crowdAddresses(1)}
	r.dial = func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", n.path("l.sock")) }
	return r
}

func dryReputation(b *testing.B) *reputation {
	n := startNode(b, basicWith("firewall {\n\t\t\tmode dry-run\n\t\t}\n\t\t"+reputationFeed))
	return newReputation(n, func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+n.port) })
}

func wiredReputation(b *testing.B) *reputation {
	w := wire(b)
	w.up("mode nftables", "servers {\n\t\ttrusted_proxies static "+proxy+"/32\n\t\ttrusted_proxies_strict\n\t}", reputationFeed)
	return newReputation(w.node, func() (net.Conn, error) { return w.dial(proxy, sitePort, patience) })
}

// crowdAddresses are those of a list, none of which visits.
func crowdAddresses(seed uint64) []netip.Addr {
	rng := rand.New(rand.NewPCG(seed, 2))
	known := map[netip.Addr]bool{}
	for len(known) < reputationSize {
		known[netip.AddrFrom4([4]byte{byte(20 + rng.IntN(80)), byte(rng.IntN(256)), byte(rng.IntN(256)), byte(rng.IntN(256))})] = true
	}
	all := make([]netip.Addr, 0, len(known))
	for a := range known {
		all = append(all, a)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// publish writes a file for the node to read.
func (r *reputation) publish(name string, all []netip.Addr) {
	var text bytes.Buffer
	for _, a := range all {
		text.WriteString(a.String())
		text.WriteByte('\n')
	}
	r.write(name, text.String())
}

// visits sends page views over eight connections, a hundred a second on each, until it
// is stopped, and returns how long they took, sorted.
func (r *reputation) visits() (stop func() []time.Duration) {
	const connections, pause = 8, 10 * time.Millisecond
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	done := make(chan struct{})
	for c := range connections {
		wg.Go(func() {
			conn, err := r.site()
			if err != nil {
				r.fault("a visitor: %w", err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for i := int64(c); ; i += connections {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				begun := time.Now()
				if err := r.view(conn, in, i); err != nil {
					r.fault("a visitor: %w", err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	return func() []time.Duration {
		close(done)
		wg.Wait()
		slices.Sort(all)
		return all
	}
}

// during is what doing something costs the node: its processor seconds beyond what
// visitors take of them, how long it lasts, and the slowest hundredth of the visits.
func (r *reputation) during(b *testing.B, rate float64, what func()) (cpu, lasts float64, p99 time.Duration) {
	stop := r.visits()
	before, begun := r.cpu(b), time.Now()
	what()
	lasts = time.Since(begun).Seconds()
	cpu = r.cpu(b) - before - rate*lasts
	all := stop()
	if len(all) == 0 {
		b.Fatal("nobody visited")
	}
	return cpu, lasts, all[len(all)*99/100]
}

// refreshed has the node fetch the list and waits until the firewall has it too.
func (r *reputation) refreshed(b *testing.B) {
	if _, err := r.try("POST", "/rampart/lists/crowd/refresh", nil); err != nil {
		b.Fatal(err)
	}
	until(b, "the firewall has the list", func() bool {
		f := r.status().Firewall
		return int64(f.Entries)+f.Unlisted >= reputationSize
	})
}

// quiet is the node's memory once what it freed went back, and its peak, in bytes.
func (r *reputation) quiet() (now, peak int64) {
	time.Sleep(8 * time.Second)
	return r.memory(), r.resident("VmHWM")
}

// fetch is the first import, by the feed.
func (r *reputation) fetch(b *testing.B) {
	r.during(b, 0, func() { time.Sleep(2 * time.Second) }) // warm
	visiting, lasts, before := r.during(b, 0, func() { time.Sleep(5 * time.Second) })
	rate := visiting / lasts
	small, _ := r.quiet()
	r.publish("list", r.all)
	cpu, lasts, meanwhile := r.during(b, rate, func() { r.refreshed(b) })
	large, peak := r.quiet()
	b.ReportMetric(cpu, "import-cpu-s")
	b.ReportMetric(lasts, "import-s")
	b.ReportMetric(float64(large-small)/1e6, "MB-grown")
	b.ReportMetric(float64(peak-small)/1e6, "MB-peak")
	b.ReportMetric(float64(before)/1e6, "before-p99-ms")
	b.ReportMetric(float64(meanwhile)/1e6, "import-p99-ms")
}

// stream is a bouncer that asks for everything.
func (r *reputation) stream(b *testing.B) {
	all := r.bouncer("all")
	begun, cpu := time.Now(), r.cpu(b)
	body := all.call("stream-startup", http.StatusOK, "GET", "/v1/decisions/stream?startup=true", "")
	took := time.Since(begun)
	cpu = r.cpu(b) - cpu
	if n := bytes.Count(body, []byte(`"value":`)); n != reputationSize {
		b.Fatalf("the stream told of %d entries", n)
	}
	b.ReportMetric(took.Seconds(), "startup-s")
	b.ReportMetric(cpu, "startup-cpu-s")
	b.ReportMetric(float64(len(body))/1e6, "startup-MB")
	r.deltas(b, all)
}

// deltas is what the bouncer hears of the same list once more, and of a hundredth of it
// exchanged.
func (r *reputation) deltas(b *testing.B, all *bouncer) {
	delta := func() (body []byte, took time.Duration) {
		begun := time.Now()
		body = all.call("stream-delta", http.StatusOK, "GET", "/v1/decisions/stream", "")
		return body, time.Since(begun)
	}
	r.publish("list", r.all)
	r.refreshed(b)
	if body, _ := delta(); bytes.Contains(body, []byte(`"value":`)) {
		b.Errorf("of the list that did not change the stream tells %.300s", body)
	}
	others := slices.Clone(r.all)
	for i := 0; i < len(others); i += 100 {
		others[i] = netip.AddrFrom4([4]byte{byte(100 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
	}
	r.publish("list", others)
	cpu, _, _ := r.during(b, 0, func() { r.refreshed(b) })
	body, took := delta()
	if n := bytes.Count(body, []byte(`"value":`)); n != 2*reputationSize/100 {
		b.Errorf("of a hundredth that changed the stream tells %d", n)
	}
	b.ReportMetric(cpu, "refresh-cpu-s")
	b.ReportMetric(float64(took)/1e6, "delta-ms")
	b.ReportMetric(float64(len(body))/1e6, "delta-MB")
}

// importFile is the import of another list by the command.
func (r *reputation) importFile(b *testing.B) {
	r.publish("other", crowdAddresses(2))
	cpu, lasts, _ := r.during(b, 0, func() {
		if out, err := r.rampart("lists", "import", "other", r.path("other"), "--quiet"); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		until(b, "the firewall has both lists", func() bool {
			f := r.status().Firewall
			return int64(f.Entries)+f.Unlisted >= 2*reputationSize*9/10 // some are on both
		})
	})
	b.ReportMetric(cpu, "command-cpu-s")
	b.ReportMetric(lasts, "command-s")
}
