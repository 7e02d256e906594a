package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

// kinds are labels under which arbitrary bytes are replayed.
func kinds() []string {
	return []string{"syslog", "nginx", "apache2", "caddy", "traefik", "mysql", "auditd", "iptables", "modsecurity", "json", ""}
}

// everything is a choice of all collections of the Hub; skips without one.
func everything(tb testing.TB) Choice {
	c := Choice{Hub: testkit.Shared(tb, "hub"), Data: testkit.Shared(tb, "hub-data")}
	catalogue, err := hub.Open(hub.Options{Hub: c.Hub, Data: c.Data})
	if err != nil {
		tb.Fatal(err)
	}
	for _, i := range catalogue.Items(hub.Collections) {
		if i.Origin == hub.Hub {
			c.Collections = append(c.Collections, i.Name)
		}
	}
	return c
}

// reusable is a session that forgets between replays, since compiling takes longer
// than replaying a few lines.
type reusable struct {
	*Session
	contexts *scenarios.Contexts
}

func newReusable(tb testing.TB, c Choice, plain bool) *reusable {
	tb.Helper()
	c.Plain = plain
	items, err := c.load()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := items.open(nil, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	contexts, err := scenarios.LoadContexts(items.content.Contexts, expression.New(expression.Options{Plain: plain}))
	if err != nil {
		tb.Fatal(err)
	}
	return &reusable{s, contexts}
}

// forget empties the buckets.
func (r *reusable) forget() {
	r.history.seen = map[string][]time.Time{}
	r.buckets = scenarios.NewMemory(scenarios.MemoryOptions{Now: time.Now, Overflow: r.overflow})
	r.buckets.Use(r.engine.Rules)
	r.buckets.UseContexts(r.contexts)
	r.engine.Buckets = r.buckets
}

// found is what a replay gives: alerts as JSON, and the figures.
func (r *reusable) found(tb testing.TB, in Input) []string {
	tb.Helper()
	r.forget()
	before := r.counters.Poured.Load()
	alerts := []string{}
	_, err := r.Run(tb.Context(), []Input{in}, Options{Alert: func(a *event.Alert) {
		text, err := json.Marshal(a)
		if err != nil {
			tb.Fatalf("an alert has no JSON: %v", err)
		}
		alerts = append(alerts, string(text))
	}})
	if err != nil {
		alerts = append(alerts, err.Error())
	}
	st, poured := r.buckets.Stats(), r.counters.Poured.Load()-before
	if st.Buckets > poured || st.Bytes > 64*80<<10+16<<10*poured || st.Evicted > 0 { // 64 locks, each with first pieces of its own
		tb.Errorf("%d pours left %d buckets of %d bytes, %d evicted", poured, st.Buckets, st.Bytes, st.Evicted)
	}
	return append(alerts, fmt.Sprint(poured))
}

// maxNoise bounds what a fuzzed log has.
const maxNoise = 16 << 10

// FuzzReplay replays arbitrary bytes as logs of several kinds, with the built-in
// items and all of the Hub's: nothing panics, memory stays in proportion to what is
// poured, and the fast way finds what the plain one finds.
func FuzzReplay(f *testing.F) {
	for i, s := range noise() {
		f.Add([]byte(s), uint8(0)) // as syslog, and as something else
		f.Add([]byte(s), uint8(1+i%(len(kinds())-1)))
	}
	choices := []Choice{{}}
	if testkit.HasShared(f, "hub") {
		choices = append(choices, everything(f))
	}
	var pairs [][2]*reusable
	for _, c := range choices {
		pairs = append(pairs, [2]*reusable{newReusable(f, c, false), newReusable(f, c, true)})
	}
	path := filepath.Join(f.TempDir(), "noise.log")
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		if len(data) > maxNoise {
			t.Skip("longer than anything that differs")
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		in := Input{Path: path, Type: kinds()[int(kind)%len(kinds())]}
		for i, p := range pairs {
			fast := p[0].found(t, in)
			if d := cmp.Diff(p[1].found(t, in), fast); d != "" {
				t.Errorf("items %d, type %q: plain (-) and fast (+) differ:\n%s", i, in.Type, d)
			}
		}
	})
}

// noise are beginnings of logs: some attack enough to be alerts.
func noise() []string {
	sshd := "Dec 10 06:55:46 host sshd[24200]: Failed password for invalid user admin from 192.0.2.7 port 38926 ssh2\n"
	pam := "2024-03-01T10:00:00.123+02:00 host sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=2001:db8::1  user=root\n"
	probe := func(n int) string {
		return fmt.Sprintf("192.0.2.8 - - [01/Mar/2024:10:00:0%d +0200] \"GET /wp-content/plugins/%d/readme.txt?id=1%%27%%20UNION%%20SELECT HTTP/1.1\" 404 153 \"-\" \"sqlmap/1.0\"\n", n%10, n)
	}
	var probes strings.Builder
	for n := range 24 {
		probes.WriteString(probe(n))
	}
	return []string{"", "\n\n\x00\n", "\x1f\x8b", "\xff\xfe\n\xc3\x28\n", strings.Repeat(sshd, 14), strings.Repeat(sshd+pam, 12), probes.String(),
		`{"level":"info","ts":1711741827.96,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.9","client_ip":"192.0.2.9","proto":"HTTP/1.1","method":"POST","host":"h","uri":"/wp-login.php","headers":{"User-Agent":["curl"]}},"status":401}` + "\n",
		"<34>1 2024-03-01T10:00:00Z host sshd 12 - [a b=\"\\\"]\"] \xef\xbb\xbfInvalid user  from ::ffff:192.0.2.1\n",
		"type=EXECVE msg=audit(1709287200.000:1): argc=2 a0=\"curl\" a1=\"x\"\n", "{}\n[]\nnull\n{\"a\":{\"a\":{\"a\":1e999}}}\n",
		"May 10 10:00:00 h kernel: IN=eth0 OUT= SRC=192.0.2.3 DST=198.51.100.1 PROTO=TCP SPT=1 DPT=22\n",
		strings.Repeat("(", 5000) + "\n" + strings.Repeat("%", 5000) + "\n", sshd[:60] + "\xe2\x80\n" + probe(1)[:70] + "\n",
	}
}

// TestNoiseMemory: the memory of a replay does not grow with the noise in a log,
// be it of bytes at random or of lines that nearly mean something.
func TestNoiseMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "noise.log")
	texts := noise()
	for _, kind := range kinds()[:4] {
		s, err := Open(Choice{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		for len(data) < 4<<20 {
			line := make([]byte, r.IntN(400))
			for i := range line {
				line[i] = byte(r.Uint32())
			}
			if text := texts[r.IntN(len(texts))]; r.IntN(2) == 0 && text != "" && text[0] < 0x80 {
				line = slices.Concat([]byte(strings.SplitN(text, "\n", 2)[0]), line[:len(line)/8])
				if n := len(line); n > 0 {
					line[r.IntN(n)] = byte(r.Uint32())
				}
			}
			data = append(append(data, line...), '\n')
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		data = nil
		base, peak := live(), uint64(0)
		var next int64
		res, err := s.Run(context.Background(), []Input{{Path: path, Type: kind}}, Options{Progress: func(p Progress) {
			if p.Bytes >= next {
				next = p.Bytes + 1<<19
				peak = max(peak, live())
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if res.Lines < 10_000 || peak > base+(16<<20) {
			t.Errorf("%s: %d lines, %d KiB are held beside the %d KiB of the rules", kind, res.Lines, (peak-base)>>10, base>>10)
		}
	}
}

// live is how much is in use.
func live() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
