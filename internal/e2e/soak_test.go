package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
)

// TestSoak: kills, stops, reloads good and bad, and validations in random order,
// with requests and decisions in between and a log that grows all the while. A
// model says after each step what must be there. Some steps always; 200 with
// RAMPART_SOAK set.
func TestSoak(t *testing.T) {
	steps := 40
	if os.Getenv("RAMPART_SOAK") != "" {
		steps = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d steps, seed %d", steps, seed)
	m := &soak{t: t, n: newRestarting(t), rng: rand.New(rand.NewPCG(seed, 1)),
		poured: map[string]int{}, decided: map[string]bool{}, ways: map[bool]int{}}
	m.writer = m.n.appendLines("app.log", 2*time.Millisecond)
	for i := 1; i <= steps && !t.Failed(); i++ {
		m.load()
		m.step(i)
		m.compare(i)
	}
	total := m.writer.halt()
	last := fmt.Sprintf("/line/%d", total-1)
	until(t, "the last line is counted", func() bool {
		return strings.Contains(m.n.read("rampart.log"), `"source":"`+last+`"`)
	})
	m.n.pouredLines(total, m.kills)
	t.Logf("of interrupted stops and starts %d kept the buckets, %d lost them", m.ways[true], m.ways[false])
}

// soak is the model beside the node.
type soak struct {
	t       *testing.T
	n       *node
	rng     *rand.Rand
	writer  *appender
	kills   int
	poured  map[string]int  // client → events in its bucket
	decided map[string]bool // values that were decided about by hand
	ways    map[bool]int    // how interrupted stops and starts turned out: clean or not
}

// load has some clients log in, and decisions come and go.
func (m *soak) load() {
	m.t.Helper()
	for range 30 {
		from := fmt.Sprintf("203.0.113.%d", m.rng.IntN(60))
		a := m.n.login(from, 1)
		if m.poured[from]++; m.poured[from] < 6 {
			if a.status != 200 {
				m.t.Errorf("%s got %d at event %d", from, a.status, m.poured[from])
			}
			continue
		}
		if a.remediation() != "ban" {
			m.t.Errorf("%s met %q at event 6", from, a.remediation())
		}
		delete(m.poured, from)
		m.do("DELETE", "/rampart/decisions?value="+from, nil)
	}
	for range 5 {
		value := fmt.Sprintf("198.18.0.%d", m.rng.IntN(40))
		if m.decided[value] {
			m.do("DELETE", "/rampart/decisions?value="+value, nil)
			delete(m.decided, value)
			continue
		}
		m.do("POST", "/rampart/decisions", appliance.DecisionRequest{Value: value, Duration: "5h"})
		m.decided[value] = true
	}
}

func (m *soak) do(method, path string, body any) {
	m.t.Helper()
	if _, err := m.n.try(method, path, body); err != nil {
		m.t.Error(err)
	}
}

// step does something to the node, and to the model what must come of it.
func (m *soak) step(i int) {
	m.t.Helper()
	good := strings.Replace(restarting, "hello", fmt.Sprintf("hello %d", i), 1)
	switch m.rng.IntN(10) {
	case 0, 1:
		m.n.kill()
		m.kills++
		clear(m.poured)
		m.n.start()
		if s := m.n.status().LastStop; s.Clean || s.Restored != 0 {
			m.t.Errorf("step %d, killed: last stop %+v", i, s)
		}
	case 2:
		m.n.stop()
		m.n.start()
		if s := m.n.status().LastStop; !s.Clean || s.Dropped != 0 || s.Restored != len(m.poured) {
			m.t.Errorf("step %d, stopped: last stop %+v with %d buckets", i, s, len(m.poured))
		}
	case 3, 4:
		if err := m.n.reload(good); err != nil {
			m.t.Errorf("step %d: %v", i, err)
		}
	case 5:
		if m.n.reload(strings.Replace(good, "collection none", "collection nonsense", 1)) == nil {
			m.t.Errorf("step %d: a bad configuration was accepted", i)
		}
	case 6:
		m.n.write("Validate", m.n.expand(good))
		if out, err := m.n.command("validate", "--config", m.n.path("Validate"), "--adapter", "caddyfile").CombinedOutput(); err != nil {
			m.t.Errorf("step %d, validating: %v\n%s", i, err, out)
		}
	case 7: // killed while it stops
		must(m.t, m.n.cmd.Process.Signal(syscall.SIGTERM))
		time.Sleep(m.moment(60))
		m.n.kill()
		m.kills++
		m.eitherWay(i)
	case 8: // stopped well, killed while it starts
		m.n.stop()
		m.n.launch()
		time.Sleep(m.moment(400))
		m.n.kill()
		m.kills++
		m.eitherWay(i)
	case 9: // killed while it reloads
		done := make(chan error, 1)
		m.n.write("Reload", m.n.expand(good))
		cmd := m.n.command("reload", "--force", "--config", m.n.path("Reload"), "--adapter", "caddyfile", "--address", m.n.admin)
		go func() { done <- cmd.Run() }()
		time.Sleep(m.moment(150))
		m.n.kill()
		m.kills++
		<-done // it may have been in time
		clear(m.poured)
		m.n.start()
	}
}

// moment is a random length of time up to so many milliseconds.
func (m *soak) moment(ms int) time.Duration {
	return time.Duration(m.rng.IntN(ms*1000)) * time.Microsecond
}

// eitherWay starts the node after an end that may have been in time or not:
// buckets are all there or all gone, and the node knows which.
func (m *soak) eitherWay(i int) {
	m.t.Helper()
	m.n.start()
	s := m.n.status()
	switch l := s.LastStop; {
	case l.Clean && (l.First || l.Restored != len(m.poured) || len(s.Problems) != 0):
		m.t.Errorf("step %d: last stop %+v with %d buckets, problems %q", i, l, len(m.poured), s.Problems)
	case !l.Clean:
		if l.Restored != 0 || len(s.Problems) != 1 {
			m.t.Errorf("step %d: last stop %+v, problems %q", i, l, s.Problems)
		}
		clear(m.poured)
	}
	m.ways[s.LastStop.Clean]++
}

// launch starts the process and does not wait for it.
func (n *node) launch() {
	n.t.Helper()
	log, err := os.OpenFile(n.path("rampart.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(n.t, err)
	defer log.Close()
	n.cmd = n.command("run", "--config", n.path("Caddyfile"), "--adapter", "caddyfile")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	must(n.t, n.cmd.Start())
	n.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(n.cmd, n.exited)
}

// compare holds the node against the model.
func (m *soak) compare(i int) {
	m.t.Helper()
	s := m.n.status()
	if got := int(s.Buckets.Buckets); got != len(m.poured) {
		m.t.Errorf("step %d: %d buckets, want %d", i, got, len(m.poured))
	}
	have := map[string]bool{}
	for _, d := range ask[[]decisions.Decision](m.n, "GET", "/rampart/decisions", nil) {
		have[d.Value] = true
		if !m.decided[d.Value] {
			m.t.Errorf("step %d: %s of %s is back", i, d.Type, d.Value)
		}
	}
	for value := range m.decided {
		if !have[value] {
			m.t.Errorf("step %d: the decision about %s is gone", i, value)
		}
	}
}
