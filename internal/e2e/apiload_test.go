package e2e

import (
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	loadBouncers = 20
	loadAgents   = 5
	// Each agent sends loadBatch alerts every loadPause: 100 alerts a second in all.
	loadBatch = 10
	loadPause = 500 * time.Millisecond
	// loadSources is how many addresses an agent knows. It comes back to each.
	loadSources = 300
	// loadAlerts bounds the alerts that the node keeps beside those with a decision in force.
	loadAlerts = 500
	// loadRoom is how much a node may grow from the middle of a load to its end, in
	// bytes: by then it keeps no more alerts than before.
	loadRoom = 48 << 20
)

// TestAPILoad: bouncers that poll, agents that push and an operator who takes decisions
// back, all at once. Nothing fails, memory is bounded, and in the end each bouncer holds
// what is in force. Ten seconds; a minute with RAMPART_SOAK set.
func TestAPILoad(t *testing.T) {
	lasts := 10 * time.Second
	if os.Getenv("RAMPART_SOAK") != "" {
		lasts = time.Minute
	}
	l := newAPILoad(t)
	l.run(lasts)
	for _, k := range l.kinds() {
		t.Logf("%-15s %6d calls, p50 %v, p99 %v", k, len(l.took[k]), l.latency(k, 50), l.latency(k, 99))
	}
	t.Logf("memory %d MiB before, %d MiB in the middle, %d MiB at the end; of %d alerts it keeps %d",
		l.before>>20, l.middle>>20, l.after>>20, l.pushed(lasts), l.kept)
	if l.after > l.middle+loadRoom {
		t.Errorf("memory grew from %d to %d MiB in the second half", l.middle>>20, l.after>>20)
	}
}

// BenchmarkAPILoad is how long the calls of TestAPILoad take.
func BenchmarkAPILoad(b *testing.B) {
	const lasts = 20 * time.Second
	l := newAPILoad(b)
	cpu := l.cpu(b)
	l.run(lasts)
	cpu = l.cpu(b) - cpu
	for b.Loop() { // the figures are above; one iteration is all there is
	}
	b.ReportMetric(0, "ns/op")
	for _, k := range l.kinds() {
		b.ReportMetric(float64(l.latency(k, 50))/1e6, k+"-p50-ms")
		b.ReportMetric(float64(l.latency(k, 99))/1e6, k+"-p99-ms")
	}
	b.ReportMetric(cpu/lasts.Seconds()*100, "cpu-%")
	b.ReportMetric(float64(l.after-l.before)/float64(1<<20), "MiB-grown")
}

// apiLoad is a crowd with what its members are.
type apiLoad struct {
	*crowd
	bouncers []*bouncer
	live     *bouncer // asks about single addresses
	agents   []*agent
	operator *agent // takes decisions back
	reader   *agent // looks at alerts

	before, middle, after int64 // resident memory of the node
	kept                  int   // alerts that the node has in the end
}

func newAPILoad(t testing.TB) *apiLoad {
	t.Helper()
	l := &apiLoad{crowd: newCrowd(apiNode(t, fmt.Sprintf("limits {\n\t\t\talerts %d\n\t\t}", loadAlerts)))}
	for i := range loadBouncers {
		l.bouncers = append(l.bouncers, l.bouncer(fmt.Sprint("bouncer", i)))
	}
	for i := range loadAgents {
		l.agents = append(l.agents, l.agent(fmt.Sprint("agent", i)))
	}
	l.live, l.operator, l.reader = l.bouncer("live"), l.agent("operator"), l.agent("reader")
	return l
}

// pushed is how many alerts are sent within a time.
func (l *apiLoad) pushed(lasts time.Duration) int {
	return int(lasts/loadPause) * loadBatch * loadAgents
}

// source is an address that an agent knows; those of short decisions are others.
func source(agent, i int, short bool) string {
	net := 45
	if short {
		net = 46
	}
	return fmt.Sprintf("%d.%d.%d.%d", net, agent, i%loadSources/250, i%loadSources%250+1)
}

// run has all of them work for a time and holds the outcome against the node.
func (l *apiLoad) run(lasts time.Duration) {
	l.t.Helper()
	l.before = l.memory()
	l.work(lasts)
	l.after = l.memory()
	l.kept = l.status().Journal.Alerts
	l.settle()
	l.check()
}

func (l *apiLoad) work(lasts time.Duration) {
	var wg sync.WaitGroup
	begun := time.Now()
	for i, b := range l.bouncers {
		stagger := begun.Add(time.Duration(i) * time.Second / loadBouncers)
		every(&wg, stagger, lasts, time.Second, func(i int) {
			if i == 0 {
				b.startup()
				return
			}
			b.poll()
		})
	}
	rounds := int(lasts / loadPause)
	for n, a := range l.agents {
		every(&wg, begun.Add(time.Duration(n)*loadPause/loadAgents), lasts, loadPause, func(i int) {
			if i == rounds/2 {
				a.login()
			}
			var sources []string
			for j := range loadBatch {
				sources = append(sources, source(n, i*loadBatch+j, i%5 == 4))
			}
			if i%5 == 4 {
				a.push(sources, 4*time.Second)
				return
			}
			a.push(sources, 0)
		})
	}
	every(&wg, begun, lasts, 200*time.Millisecond, func(int) {
		l.reader.call("alerts", 200, "GET", "/v1/alerts?limit=50&since=1h", "")
	})
	every(&wg, begun, lasts, 250*time.Millisecond, func(i int) {
		l.operator.call("delete", 200, "DELETE", "/v1/decisions?ip="+source(i%loadAgents, i*7, false), "")
	})
	every(&wg, begun, lasts, 100*time.Millisecond, func(i int) {
		l.live.call("query", 200, "GET", "/v1/decisions?ip="+source(i%loadAgents, i*3, false), "")
	})
	time.Sleep(time.Until(begun.Add(lasts / 2)))
	l.middle = l.memory()
	wg.Wait()
}

// settle waits until the short decisions have ended, lets each bouncer hear of it, and
// compares what it holds with what is in force.
func (l *apiLoad) settle() {
	l.t.Helper()
	var want map[string]bool
	until(l.t, "short decisions have ended", func() bool {
		want = map[string]bool{}
		for _, d := range ask[[]decisions.Decision](l.node, "GET", "/rampart/decisions", nil) {
			if left := time.Until(d.Until); left < time.Hour {
				time.Sleep(left)
				return false
			}
			want[d.Scope+" "+d.Value+" "+d.Type] = true
		}
		return true
	})
	if len(want) < loadSources/2 {
		l.t.Errorf("only %d decisions are in force", len(want))
	}
	for _, b := range l.bouncers {
		// The end of a decision is told up to some seconds after it.
		for end := time.Now().Add(patience); time.Now().Before(end) && !maps.Equal(b.holds, want); time.Sleep(100 * time.Millisecond) {
			b.poll()
		}
		if diff := cmp.Diff(want, b.holds); diff != "" {
			l.t.Errorf("%s holds (+) what is not in force (-):\n%.2000s", b.name, diff)
		}
		if b.gone == 0 || b.news <= len(want) {
			l.t.Errorf("%s was told of %d and %d ends", b.name, b.news, b.gone)
		}
	}
	fresh := l.bouncer("fresh")
	fresh.startup()
	if !maps.Equal(fresh.holds, want) {
		l.t.Errorf("a new bouncer holds %d, of %d in force", len(fresh.holds), len(want))
	}
}
