package cluster

import (
	"strconv"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

var _ Challenges = (*captcha.Memory)(nil)
var _ captcha.Store = (*Burns)(nil)

// burns opens a node with a challenge store.
func burns(t *testing.T, n int, config Config) (*Client, *Burns) {
	t.Helper()
	c := up(t, n, config)
	b := NewBurns(c, captcha.NewMemory(nil))
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, b
}

func token(n int) (id [16]byte) {
	copy(id[:], "token "+strconv.Itoa(n))
	return id
}

func (b *Burns) mustBurn(t *testing.T, id [16]byte, expires time.Time) bool {
	t.Helper()
	fresh, err := b.Burn(t.Context(), id, expires)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// listening waits until both hear each other.
func listening(t *testing.T, a, b *Burns) {
	t.Helper()
	n := 1_000_000
	for _, pair := range [][2]*Burns{{a, b}, {b, a}} {
		within(t, "a burn is heard", func() bool {
			before := pair[1].Stats().Learnt
			n++
			pair[0].mustBurn(t, token(n), time.Now().Add(time.Minute))
			time.Sleep(20 * time.Millisecond)
			return pair[1].Stats().Learnt > before
		})
	}
}

// TestBurns: a token that is spent on one node is refused on the other, one that both
// let pass at the same time is counted.
func TestBurns(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	_, a := burns(t, 1, at(s.Addr()))
	_, b := burns(t, 2, at(s.Addr()))
	listening(t, a, b)
	expires := time.Now().Add(5 * time.Minute)
	var slowest time.Duration
	for n := range 50 {
		want := b.Stats().Learnt + 1
		begin := time.Now()
		if !a.mustBurn(t, token(n), expires) {
			t.Fatal("a fresh token is not")
		}
		within(t, "the burn is heard", func() bool { return b.Stats().Learnt >= want })
		slowest = max(slowest, time.Since(begin))
		if b.mustBurn(t, token(n), expires) {
			t.Fatalf("token %d passed on both", n)
		}
		if a.mustBurn(t, token(n), expires) {
			t.Fatalf("token %d passed twice on one", n)
		}
	}
	t.Logf("slowest burn was refused elsewhere after %v (looked at every 2 ms)", slowest)
	if late := a.Stats().Late + b.Stats().Late; late != 0 {
		t.Errorf("%d counted as late", late)
	}

	s.Pause()
	if !a.mustBurn(t, token(900), expires) || !b.mustBurn(t, token(900), expires) {
		t.Error("a node waited for Redis")
	}
	s.Resume()
	within(t, "the double burn is counted", func() bool { return a.Stats().Late+b.Stats().Late >= 1 })
}

// TestBurnsCatchUp: what was spent while a node was away is refused there too.
func TestBurnsCatchUp(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	_, a := burns(t, 1, at(s.Addr()))
	cb, b := burns(t, 2, at(p.Addr()))
	listening(t, a, b)
	p.Cut()
	within(t, "the node notices", func() bool { return !cb.Up() })
	expires := time.Now().Add(5 * time.Minute)
	const many = 3000
	for n := range many {
		a.mustBurn(t, token(n), expires)
	}
	a.mustBurn(t, token(many), time.Now().Add(-time.Second))
	within(t, "all are told", func() bool { return a.Stats().Waiting == 0 })
	if !b.mustBurn(t, token(many+1), expires) {
		t.Error("a node on its own refuses")
	}
	before := b.Stats().Learnt
	p.Heal()
	within(t, "the node has caught up", func() bool { return b.Stats().Learnt-before >= many })
	if b.mustBurn(t, token(7), expires) {
		t.Error("a token that was spent meanwhile passed")
	}
	within(t, "what was spent here meanwhile is known there", func() bool { return !a.mustBurn(t, token(many+1), expires) })

	_, fresh := burns(t, 3, at(s.Addr()))
	within(t, "a new node has caught up", func() bool { return fresh.Stats().Learnt >= many })
	if fresh.mustBurn(t, token(many-1), expires) {
		t.Error("a token spent before the node came passed")
	}
}

// TestBurnsRedisEmpty: a Redis that comes back empty is told again by nobody, but new
// burns are heard.
func TestBurnsRedisEmpty(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	ca, a := burns(t, 1, at(s.Addr()))
	cb, b := burns(t, 2, at(s.Addr()))
	listening(t, a, b)
	s.Kill()
	within(t, "both notice", func() bool { return !ca.Up() && !cb.Up() })
	a.mustBurn(t, token(1), time.Now().Add(time.Minute))
	s.Restart(true)
	within(t, "both are back", func() bool { return ca.Up() && cb.Up() })
	within(t, "what was burnt meanwhile is heard", func() bool {
		return !b.mustBurn(t, token(1), time.Now().Add(time.Minute)) || b.Stats().Late+a.Stats().Late > 0
	})
	listening(t, a, b)
}

// TestBurnsRate: tokens of one rate that are taken on three nodes in turn are no more
// than one node would give, but for one of each other node that it has not heard of.
func TestBurnsRate(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	var nodes []*Burns
	for n := range 3 {
		_, b := burns(t, n, at(s.Addr()))
		nodes = append(nodes, b)
	}
	listening(t, nodes[0], nodes[1])
	listening(t, nodes[1], nodes[2])
	const burst = 10
	var allowed [3]int64
	for i := range 90 {
		b := nodes[i%3]
		if ok, retry := b.Allow(t.Context(), "page 192.0.2.1", time.Hour, burst); ok {
			allowed[i%3]++
			within(t, "it is told", func() bool { return b.Stats().Rates >= allowed[i%3] })
			time.Sleep(20 * time.Millisecond) // the others hear of it, or else the bound below holds
		} else if retry <= 0 || retry > time.Hour {
			t.Errorf("retry after %v", retry)
		}
	}
	if n := allowed[0] + allowed[1] + allowed[2]; n < burst || n > burst+2 {
		t.Errorf("%d allowed by three nodes, want %d, at most %d", n, burst, burst+2)
	}
	if ok, _ := nodes[0].Allow(t.Context(), "page 192.0.2.2", time.Hour, burst); !ok {
		t.Error("another's rate is used up")
	}
}

// FuzzBurnsLearn: whatever is published, nothing breaks, and nothing far ahead is
// believed.
func FuzzBurnsLearn(f *testing.F) {
	f.Add("")
	f.Add("0000000000000002")
	f.Add("0000000000000002B0123456789abcdef\xff\xff\xff\xff")
	f.Add("0000000000000002R0123456789abcdef\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Add("0000000000000002R0123456789abcdef\x10\x00\x00\x00\x00\x00\x00\x00B")
	f.Fuzz(func(t *testing.T, message string) {
		far := &farChallenges{Memory: captcha.NewMemory(nil), until: time.Now().Add(farthest + time.Hour)}
		b := &Burns{c: &Client{now: time.Now, o: Options{Node: nodeID(1)}}, local: far}
		b.learn(message)
		if far.seen {
			t.Errorf("%q was believed", message)
		}
	})
}

// farChallenges notes what lies farther ahead than anything may.
type farChallenges struct {
	*captcha.Memory
	until time.Time
	seen  bool
}

func (f *farChallenges) Raise(key string, full int64) {
	f.seen = f.seen || full > f.until.UnixNano()
	f.Memory.Raise(key, full)
}

// BenchmarkBurnsAllow is what a request pays for a rate of the fleet.
func BenchmarkBurnsAllow(b *testing.B) {
	s := redistest.Start(b, redistest.Options{})
	c, _ := open(b, 1, at(s.Addr()))
	for !c.Up() {
		time.Sleep(time.Millisecond)
	}
	memory := captcha.NewMemory(nil)
	shared := NewBurns(c, captcha.NewMemory(nil))
	defer shared.Close()
	for name, store := range map[string]captcha.Store{"local": memory, "fleet": shared} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				store.Allow(b.Context(), "page 192.0.2."+strconv.Itoa(n%256), time.Microsecond, 1000)
			}
		})
	}
}
