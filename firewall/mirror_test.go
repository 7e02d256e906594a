package firewall

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestExpiryOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q expiry
	var want []int64
	for i := range 1000 {
		u := r.Int64N(200)
		want = append(want, u)
		if i < 500 {
			q = append(q, due{until: u})
			if i == 499 {
				q.order()
			}
			continue
		}
		q.push(due{until: u})
	}
	slices.Sort(want)
	for i, u := range want {
		if got := q.pop().until; got != u {
			t.Fatalf("item %d ends at %d, want %d", i, got, u)
		}
	}
}

// naive is the mirror written down plainly: a list of bans.
type naive struct {
	bans []naiveBan
}

type naiveBan struct {
	source, target netip.Prefix
	until          int64
	origin         uint16
}

func (n *naive) add(b naiveBan) {
	for i, o := range n.bans {
		if o.source == b.source && o.origin == b.origin && o.target == b.target {
			n.bans[i].until = max(o.until, b.until)
			return
		}
	}
	n.bans = append(n.bans, b)
}

func (n *naive) remove(source, target netip.Prefix, now int64) {
	n.expire(now)
	before := len(n.bans)
	n.bans = slices.DeleteFunc(n.bans, func(b naiveBan) bool { return b.source == source })
	if len(n.bans) == before && source == target {
		n.bans = slices.DeleteFunc(n.bans, func(b naiveBan) bool { return b.target == target })
	}
}

func (n *naive) expire(now int64) {
	n.bans = slices.DeleteFunc(n.bans, func(b naiveBan) bool { return b.until <= now })
}

func (n *naive) ends(now int64) map[netip.Prefix]int64 {
	ends := make(map[netip.Prefix]int64)
	for _, b := range n.bans {
		if b.until > now {
			ends[b.target] = max(ends[b.target], b.until)
		}
	}
	return ends
}

// randomPrefix makes collisions likely: few addresses, and for IPv6 several in
// one /64.
func randomPrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(4))}), []int{32, 32, 24, 30}[r.IntN(4)]).Masked()
	}
	a := netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%d::%d", r.IntN(2), r.IntN(4)))
	return netip.PrefixFrom(a, []int{128, 128, 64, 56}[r.IntN(4)]).Masked()
}

func TestMirrorOracle(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 5))
		m, n := newMirror(1000, 0), &naive{}
		now := int64(1e18)
		kernel := make(map[netip.Prefix]entry) // what applying the changes gives
		for step := range 400 {
			now += r.Int64N(int64(3 * time.Second))
			m.expire(now)
			m.before = make(map[key]entry)
			for range r.IntN(4) {
				source, target, err := normalise(randomPrefix(r), 64)
				if err != nil {
					t.Fatal(err)
				}
				if r.IntN(3) == 0 {
					m.remove(keyOf(source), keyOf(target), now)
					n.remove(source, target, now)
					continue
				}
				e := entry{until: now + 1 + r.Int64N(int64(time.Minute)), origin: uint16(1 + r.IntN(3))}
				m.put(keyOf(target), ref{keyOf(source), e}, now)
				n.expire(now)
				n.add(naiveBan{source, target, e.until, e.origin})
			}
			applyChanges(t, kernel, slices.Values(m.touched(now)), now)
			want := n.ends(now)
			if got := kernelEnds(kernel, now); !equalEnds(got, want) {
				t.Fatalf("seed %d step %d: kernel would hold %v, want %v", seed, step, got, want)
			}
			if got := m.live(now); got != len(want) {
				t.Fatalf("seed %d step %d: %d live entries, want %d", seed, step, got, len(want))
			}
		}
	}
}

// applyChanges does what the kernel does with changes, and fails on those that
// it would refuse.
func applyChanges(t *testing.T, kernel map[netip.Prefix]entry, changes iter.Seq[change], now int64) {
	t.Helper()
	for c := range changes {
		p := c.key.prefix()
		e, there := kernel[p]
		there = there && e.until > now
		switch {
		case c.op == opAdd && there, c.op == opExtend && (!there || e.origin != c.origin):
			t.Fatalf("change %+v meets %+v (there: %t)", c, e, there)
		case c.op == opRemove:
			delete(kernel, p)
			continue
		}
		kernel[p] = entry{c.until, c.origin}
	}
}

func kernelEnds(kernel map[netip.Prefix]entry, now int64) map[netip.Prefix]int64 {
	ends := make(map[netip.Prefix]int64)
	for p, e := range kernel {
		if e.until > now {
			ends[p] = e.until
		}
	}
	return ends
}

func equalEnds(a, b map[netip.Prefix]int64) bool {
	if len(a) != len(b) {
		return false
	}
	for p, u := range a {
		if b[p] != u {
			return false
		}
	}
	return true
}

func TestMirrorBounds(t *testing.T) {
	m := newMirror(100, 0)
	now := int64(1e18)
	source := func(i int) key {
		return keyOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
	}
	for i := range 300 {
		k := source(i)
		if !m.put(k, ref{k, entry{now + int64(i+1)*int64(time.Second), 1}}, now) {
			t.Fatalf("ban %d, the longest so far, was not taken in", i)
		}
	}
	if len(m.entries) != 100 || m.evicted != 200 {
		t.Fatalf("%d entries, %d evicted; want 100, 200", len(m.entries), m.evicted)
	}
	if _, ok := m.entries[source(199)]; ok {
		t.Error("entry 199, the 101st longest, is still there")
	}
	if _, ok := m.entries[source(200)]; !ok {
		t.Error("entry 200, the 100th longest, is gone")
	}
	k := source(5000)
	if m.put(k, ref{k, entry{now + 1, 1}}, now) {
		t.Error("a ban shorter than all was taken in")
	}
	// One entry renewed for ever must not grow the queue for ever.
	for i := range 100_000 {
		k := source(250)
		m.put(k, ref{k, entry{now + int64(1000+i)*int64(time.Second), 1}}, now)
	}
	if len(m.queue) > 2*len(m.entries)+1024 {
		t.Errorf("queue has %d items for %d entries", len(m.queue), len(m.entries))
	}
	// One client with endless addresses must not hold endless bans.
	target := keyOf(netip.MustParsePrefix("2001:db8::/64"))
	for i := range 1000 {
		s := target
		s.bits, s.lo = 128, uint64(i)
		m.put(target, ref{s, entry{now + int64(5000+i)*int64(time.Second), 1}}, now)
	}
	if got := len(m.refs[target]); got != maxRefs {
		t.Errorf("%d bans behind one entry, want %d", got, maxRefs)
	}
	if got, want := m.entries[target].until, now+5999*int64(time.Second); got != want {
		t.Errorf("entry ends at %d, want the longest, %d", got, want)
	}
}

func TestTimeouts(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	tests := []struct {
		name  string
		until time.Time
		want  time.Duration // 0: not written
	}{
		{"zero time", time.Time{}, 0},
		{"before 1970", time.Unix(-5, 0), 0},
		{"past", now.Add(-time.Hour), 0},
		{"now", now, 0},
		{"a nanosecond", now.Add(1), minTimeout},
		{"a millisecond", now.Add(time.Millisecond), minTimeout},
		{"an hour", now.Add(time.Hour), time.Hour},
		{"292 years", now.Add(math.MaxInt64), maxTimeout},
		{"year 9999", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), maxTimeout},
	}
	for _, tt := range tests {
		got, ok := timeout(instant(tt.until), now)
		if ok != (tt.want != 0) || got != tt.want {
			t.Errorf("%s: %v, %t; want %v", tt.name, got, ok, tt.want)
		}
		if ok && got.Milliseconds() <= 0 {
			t.Errorf("%s: %v would be for ever", tt.name, got)
		}
	}
}
