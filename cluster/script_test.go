package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

const addScript = `
-- adds, or fails
if ARGV[1] == 'no' then return redis.error_reply('ODD told so') end
if ARGV[1] == 'nil' then return false end
return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[1]}`

func TestScript(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c := up(t, 1, at(s.Addr()))
	add := c.script("add", addScript)
	if c.script("add", addScript) != add {
		t.Error("the same script is another")
	}
	for i, want := range []int64{5, 10, 15} {
		if i == 2 {
			s.Do("SCRIPT", "FLUSH")
		}
		v, err := add.Run(t.Context(), []string{"k"}, 5)
		if err != nil || fmt.Sprint(v) != fmt.Sprint([]any{want, "5"}) {
			t.Fatalf("run %d gave %v, %v", i, v, err)
		}
	}
	if v, err := add.Run(t.Context(), []string{"k"}, "nil"); v != nil || err != nil {
		t.Errorf("nothing came as %v, %v", v, err)
	}
	if _, err := add.Run(t.Context(), []string{"k"}, "no"); err == nil || !strings.HasPrefix(err.Error(), "ODD") {
		t.Errorf("an error came as %v", err)
	}
	if !c.Up() {
		t.Error("a script's own error takes Redis out of use")
	}
	var calls []call
	for i := range 20 {
		n := strconv.Itoa(i)
		if i == 7 {
			n = "no"
		}
		calls = append(calls, call{[]string{"p" + n}, []any{n}})
	}
	for _, flush := range []bool{true, false} {
		if flush {
			s.Do("SCRIPT", "FLUSH")
		}
		for i, r := range add.RunAll(t.Context(), calls) {
			if i == 7 {
				if r.err == nil {
					t.Error("an error in the row is lost")
				}
				continue
			}
			sum := i
			if !flush {
				sum = 2 * i
			}
			if r.err != nil || fmt.Sprint(r.value) != fmt.Sprint([]any{sum, i}) {
				t.Errorf("call %d gave %v, %v", i, r.value, r.err)
			}
		}
	}
	i := slices.IndexFunc(c.Scripts(), func(s ScriptStats) bool { return s.Name == "add" })
	got := c.Scripts()[i]
	if got.Calls != 45 || got.Errors != 3 || got.Mean <= 0 || got.P99 <= 0 {
		t.Errorf("figures %+v", got)
	}
	within(t, "the server's figure", func() bool {
		c.server.mu.Lock()
		c.server.next = time.Time{}
		c.server.mu.Unlock()
		return c.Health().EvalMicros > 0
	})
}

// TestHistogram holds the quantile against sorting.
func TestHistogram(t *testing.T) {
	for _, most := range []int64{5, 100, 10_000, 50_000_000} {
		var h histogram
		var all []int64
		for range 1000 {
			n := rand.Int64N(most)
			h.add(n)
			all = append(all, n)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.99} {
			want := all[int(q*float64(len(all)))]
			if got := h.quantile(q); got < want || got > want+want/4+1 {
				t.Errorf("quantile %v of 0…%d is %d, sorted %d", q, most, got, want)
			}
		}
	}
	var h histogram
	h.add(1 << 60)
	h.add(-1)
	if h.quantile(0.99) <= 0 {
		t.Error("an endless time is lost")
	}
	if new(histogram).quantile(0.99) != 0 {
		t.Error("nothing has a quantile")
	}
}

func TestParseInfo(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory", "12mb"}})
	for range 3 {
		s.Do("EVAL", "return 1", "0")
	}
	f := parseInfo(fmt.Sprint(s.Do("INFO", "everything")))
	if !strings.HasPrefix(f.version, "7.") && !strings.HasPrefix(f.version, "8.") || f.role != "master" ||
		f.policy != "noeviction" || f.maxMemory != 12<<20 || f.evalCalls != 3 || f.evalMicros < 1 || f.evicted != 0 {
		t.Errorf("%+v", f)
	}
	if f := parseInfo("role\nmaxmemory:-4\nevicted_keys:x\ncmdstat_eval:calls,usec=\n:\n"); f != (facts{}) {
		t.Errorf("nonsense gave %+v", f)
	}
}

// TestEvictions: settings that endanger the shared state are told once.
func TestEvictions(t *testing.T) {
	s := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory", "64mb"}})
	c, logs := open(t, 1, at(s.Addr()))
	told := func() int { return logs.FilterMessage("redis may lose shared state").Len() }
	again := func() {
		c.server.mu.Lock()
		c.server.next = time.Time{}
		c.server.mu.Unlock()
	}
	within(t, "the policy is told", func() bool { return told() == 1 })
	if w := c.Health().Warning; !strings.Contains(w, "noeviction") {
		t.Errorf("warning %q", w)
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	within(t, "the warning ends", func() bool { again(); return c.Health().Warning == "" })
	for i := range 100 {
		s.Do("SET", strconv.Itoa(i), strings.Repeat("x", 1000), "EX", "100")
	}
	s.Do("CONFIG", "SET", "maxmemory", "2mb")
	for i := range 2000 {
		if _, err := s.Try("SET", "v"+strconv.Itoa(i), strings.Repeat("x", 4000), "EX", "100"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "evictions are seen", func() bool { again(); return c.Health().Evictions > 0 })
	if w := c.Health().Warning; !strings.Contains(w, "thrown out") {
		t.Errorf("warning %q", w)
	}
}
