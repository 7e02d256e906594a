package captcha_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
)

func id(n int) (b [16]byte) {
	b[0] = byte(n)
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	return b
}

// TestBurnOracle compares Memory with a plain map that never forgets.
func TestBurnOracle(t *testing.T) {
	clock := newClock()
	m := captcha.NewMemory(clock.Now)
	rng := rand.New(rand.NewPCG(1, 2))
	spent := make(map[[16]byte]bool)
	expiry := make(map[int]time.Time)
	for step := range 20000 {
		n := rng.IntN(3000)
		if _, ok := expiry[n]; !ok {
			expiry[n] = clock.Now().Add(time.Duration(rng.IntN(600)) * time.Second)
		}
		if step%50 == 0 {
			clock.Advance(time.Duration(rng.IntN(4000)) * time.Millisecond)
		}
		if !clock.Now().Before(expiry[n]) {
			continue // the Gate does not ask about expired tokens
		}
		fresh, err := m.Burn(t.Context(), id(n), expiry[n])
		if err != nil {
			t.Fatal(err)
		}
		if fresh == spent[id(n)] {
			t.Fatalf("step %d: Burn(%d) = %v, but spent %v", step, n, fresh, spent[id(n)])
		}
		spent[id(n)] = true
	}
	clock.Advance(time.Hour)
	for n := range 16 { // one in each shard, to let it forget
		m.Burn(t.Context(), id(n+100000), clock.Now().Add(time.Minute))
	}
	if held := m.Stats()["burnt_held"]; held != 16 {
		t.Errorf("%d tokens held after they expired, want 16", held)
	}
}

func TestBurnExpired(t *testing.T) {
	clock := newClock()
	m := captcha.NewMemory(clock.Now)
	if fresh, _ := m.Burn(t.Context(), id(1), clock.Now().Add(-2*time.Minute)); fresh {
		t.Error("a token that may have been forgotten is fresh")
	}
}

func TestBurnLimit(t *testing.T) {
	clock := newClock()
	m := captcha.NewMemory(clock.Now)
	m.LimitBurnt(100)
	for n := range 150 {
		fresh, err := m.Burn(t.Context(), id(n), clock.Now().Add(time.Minute))
		if fresh != (n < 100) || (err == captcha.ErrStoreFull) != (n >= 100) {
			t.Fatalf("Burn %d: %v, %v", n, fresh, err)
		}
	}
	clock.Advance(3 * time.Minute) // all of them are over: there is room, in whichever shard
	if fresh, err := m.Burn(t.Context(), id(7), clock.Now().Add(time.Minute)); !fresh || err != nil {
		t.Errorf("after they expired: %v, %v", fresh, err)
	}
}

func TestBurnConcurrently(t *testing.T) {
	m := captcha.NewMemory(nil)
	exp := time.Now().Add(time.Minute)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 2000 {
				if fresh, err := m.Burn(context.Background(), id(n), exp); err == nil && fresh {
					wins.Add(1)
				}
				m.Allow(context.Background(), fmt.Sprint(n), time.Second, 3)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 2000 {
		t.Errorf("%d fresh of 2000 tokens", wins.Load())
	}
}

// TestAllowOracle compares the rate arithmetic with a token bucket in floating
// point, stepped by the second.
func TestAllowOracle(t *testing.T) {
	clock := newClock()
	m := captcha.NewMemory(clock.Now)
	rng := rand.New(rand.NewPCG(3, 4))
	const period, burst = 6, 5
	tokens, last := float64(burst), clock.Now()
	for step := range 5000 {
		clock.Advance(time.Duration(rng.IntN(8)) * time.Second)
		tokens = min(burst, tokens+clock.Now().Sub(last).Seconds()/period)
		last = clock.Now()
		ok, retry := m.Allow(t.Context(), "x", period*time.Second, burst)
		want := tokens > 1-1e-9
		if ok != want {
			t.Fatalf("step %d: %v with %.3f tokens", step, ok, tokens)
		}
		if want {
			tokens--
		} else if got := (1 - tokens) * period; retry.Seconds()-got > 1e-6 || got-retry.Seconds() > 1e-6 {
			t.Fatalf("step %d: retry %s, want %.3f s", step, retry, got)
		}
	}
}

// TestAllowBounded: a million clients do not make the store grow, and one that
// keeps asking is not forgotten among them.
func TestAllowBounded(t *testing.T) {
	clock := newClock()
	m := captcha.NewMemory(clock.Now)
	for range 5 {
		m.Allow(t.Context(), "hammer", time.Minute, 5)
	}
	for n := range 300_000 {
		m.Allow(t.Context(), fmt.Sprint(n), time.Minute, 5)
		if n%1000 == 0 {
			if ok, _ := m.Allow(t.Context(), "hammer", time.Minute, 5); ok {
				t.Fatalf("forgotten after %d others", n)
			}
		}
	}
	if n := m.Rates(); n > 16*2*4096 {
		t.Errorf("%d rates held", n)
	}
	if m.Stats()["rates_evicted"] == 0 {
		t.Error("evictions are not counted")
	}
}

// TestRaise: what others took is missing here, and nothing that is told gives back.
func TestRaise(t *testing.T) {
	now := time.Unix(1000, 0)
	m := captcha.NewMemory(func() time.Time { return now })
	allowed := func() (n int) {
		for n < 10 {
			if ok, _ := m.Allow(t.Context(), "k", time.Second, 5); !ok {
				return n
			}
			n++
		}
		return n
	}
	m.Raise("k", now.Add(2*time.Second).UnixNano())
	if n := allowed(); n != 3 {
		t.Errorf("2 of 5 were taken elsewhere, %d were left", n)
	}
	m.Raise("k", now.Add(time.Second).UnixNano())
	if n := allowed(); n != 0 {
		t.Errorf("old news gave back %d", n)
	}
	m.Raise("k", now.Add(8*time.Second).UnixNano())
	now = now.Add(3 * time.Second)
	if n := allowed(); n != 0 {
		t.Errorf("full in 5 s, yet %d were left", n)
	}
	now = now.Add(2 * time.Second)
	if n := allowed(); n != 2 {
		t.Errorf("full in 3 s, so 2 of 5, not %d", n)
	}
}
