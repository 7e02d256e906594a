package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

// plain and logged are basic without rampart, and with a log in its place.
const (
	plain = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
}
http://127.0.0.1:{port} {
	respond "hello" 200
}
`
	logged = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
}
http://127.0.0.1:{port} {
	log {
		output file {dir}/access.log
	}
	respond "hello" 200
}
`
)

// BenchmarkRequestCost is the CPU time of the whole server process per request:
// plain Caddy, Caddy with a JSON access log, and Caddy with Rampart detecting with
// all built-in collections at 100,000 decisions. The three take turns, so that a
// machine whose speed drifts drifts for all; the figures are medians of the rounds.
func BenchmarkRequestCost(b *testing.B) {
	const requests, rounds = 40_000, 7
	kinds := []struct{ name, conf string }{{"plain", plain}, {"access-log", logged}, {"rampart", basic}}
	nodes := map[string]*node{}
	for _, k := range kinds {
		n := benchNode(b, k.conf, k.name == "rampart")
		nodes[k.name] = n
		n.load(b, requests/4) // warm
	}
	cost := map[string][]float64{} // µs a request, by round
	for range rounds {
		for _, k := range kinds {
			n := nodes[k.name]
			before := n.cpu(b)
			n.load(b, requests)
			cost[k.name] = append(cost[k.name], (n.cpu(b)-before)/requests*1e6)
		}
	}
	for b.Loop() { // the figures are above; one iteration is all there is
	}
	b.ReportMetric(0, "ns/op")
	for _, k := range kinds {
		b.ReportMetric(median(cost[k.name]), k.name+"-µs/req")
		if k.name != "plain" {
			for i, plain := range cost["plain"] {
				cost[k.name][i] -= plain
			}
			b.ReportMetric(median(cost[k.name]), k.name+"-adds-µs/req")
		}
	}
	var st struct {
		Events struct{ Requests, Dropped int64 }
	}
	body, err := nodes["rampart"].try("GET", "/rampart/status", nil)
	if err == nil {
		err = json.Unmarshal(body, &st)
	}
	if err != nil {
		b.Fatal(err)
	}
	if seen := st.Events.Requests + st.Events.Dropped; seen < requests*rounds {
		b.Fatalf("rampart saw %d requests of %d", seen, requests*rounds)
	}
	b.ReportMetric(float64(st.Events.Dropped), "dropped")
}

// file is one in the directory of a node.
type file struct{ name, text string }

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// benchNode starts a node for a benchmark, with 100,000 bans in its book if asked.
func benchNode(b *testing.B, conf string, banned bool, files ...file) *node {
	b.Helper()
	bin, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rp")
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	n := &node{binary: bin, dir: dir, admin: "unix/" + filepath.Join(dir, "a.sock"), port: port, url: "http://127.0.0.1:" + port}
	for _, f := range append(files, file{"Caddyfile", n.expand(conf)}) {
		if err := os.WriteFile(n.path(f.name), []byte(f.text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if banned {
		ban(b, filepath.Join(dir, "state", "default"), 100_000)
	}
	n.cmd = n.command("run", "--config", n.path("Caddyfile"), "--adapter", "caddyfile")
	if err := n.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait() // killed: its error is no news
		os.RemoveAll(dir)
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(n.url)
		if err == nil {
			resp.Body.Close()
			return n
		}
		if time.Now().After(end) {
			b.Fatal(err)
		}
	}
}

// ban writes n bans into the book of a node that does not run.
func ban(b *testing.B, dir string, n int) {
	b.Helper()
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	book, err := decisions.OpenBook(decisions.BookOptions{DB: db, Allow: decisions.NewAllow(time.Now), Now: time.Now,
		Logger: zap.NewNop(), MaxAlerts: 1000, AlertAge: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	for i := 0; i < n; i += 1000 {
		var ds []decisions.Decision
		for j := range 1000 {
			a := netip.AddrFrom4([4]byte{10, byte((i + j) >> 16), byte((i + j) >> 8), byte(i + j)})
			ds = append(ds, decisions.Decision{Scope: "Ip", Value: a.String(), Type: "ban", Origin: "lists",
				Scenario: "bench", Created: now, Until: now.Add(24 * time.Hour)})
		}
		a := &event.Alert{Scenario: "bench", Source: &event.Source{Scope: "Ip", Value: ds[0].Value}, Stop: now}
		if err := book.Append(a, ds); err != nil {
			b.Fatal(err)
		}
	}
	if err := book.Close(); err != nil {
		b.Fatal(err)
	}
}

// load sends n page views over 16 connections, each on behalf of one of 4,000
// clients, fast enough to measure and slow enough for each not to be a flood.
func (n *node) load(b *testing.B, requests int) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range 16 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", "127.0.0.1:"+n.port)
			if err != nil {
				errs <- err
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for i := next.Add(1); i <= int64(requests); i = next.Add(1) {
				if err := n.view(conn, r, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		b.Fatal(err)
	}
}

// pages are what the clients look at.
func page(i int64) string {
	switch i % 6 {
	case 0:
		return "/"
	case 1:
		return "/index.html"
	case 2:
		return "/blog/a-post?page=2"
	case 3:
		return "/static/app.js"
	case 4:
		return "/img/logo.png"
	}
	return "/api/items?limit=50"
}

func (n *node) view(conn net.Conn, r *bufio.Reader, i int64) error {
	client := i % 4000
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX-Forwarded-For: 198.51.%d.%d\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html\r\n\r\n",
		page(i), n.port, client/250, client%250)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("request %d: %s", i, resp.Status)
	}
	return nil
}

// cpu is the process's CPU time so far, in seconds.
func (n *node) cpu(b testing.TB) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, in parentheses, may hold blanks.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		b.Fatalf("reading %s", stat)
	}
	return (user + system) / 100 // clock ticks of 10 ms
}
