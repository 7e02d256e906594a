package scenarios

import (
	"container/heap"
	"math"
	"strings"
	"time"
)

// timer is the deadline of one bucket, with what an alert needs that is made
// without an event at hand. All timers of a shard are in one heap that Sweep looks
// at: none of them is a timer of the runtime.
type timer struct {
	due   int64 // ns: when Sweep looks at the bucket, at the latest
	place int   // in the heap
	entry uint32
	key   string // the groupby result
	last  int64  // ns, of the newest event
	prev  uint64 // position of the sample before the newest
	body  []byte // the newest sample; the ring may lose its copy
	zone  int32  // seconds east, of the newest event
	depth uint8  // see event.Provenance
	width bool
	site  string
}

const timerSize = 176

func (t *timer) bytes() int64 {
	return int64(timerSize + len(t.key) + len(t.site) + cap(t.body))
}

// note takes what an alert needs of the newest event.
func (t *timer) note(p *pour, last int64) {
	from := &p.drop.Event.From
	t.last, t.prev = last, p.prev
	t.body = append(append(t.body[:0], p.body...), p.who...)
	_, offset := p.drop.At.Zone()
	t.zone, t.depth, t.width = int32(offset), uint8(min(from.Depth, 255)), from.Width64
	if t.site != from.Site {
		t.site = strings.Clone(from.Site)
	}
}

// timers is a heap, the earliest first.
type timers []*timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due < h[j].due }
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *timers) Push(x any) {
	t := x.(*timer)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}

// arm sets or moves the deadline of a bucket that was just poured into.
func (sh *shard) arm(e *entry, p *pour) {
	sd := sh.sides.of(e)
	due := sh.due(e, p.drop.Scenario.life)
	if sd.timer == nil {
		n, _ := sh.index.find(&e.key, &sh.slab)
		sd.timer = &timer{due: due, entry: n, key: strings.Clone(p.drop.Key)}
		heap.Push(&sh.timers, sd.timer)
		sh.sides.bytes += timerSize + int64(len(sd.timer.key))
	}
	t := sd.timer
	before := t.bytes()
	t.note(p, e.touched)
	sh.sides.bytes += t.bytes() - before
	// A later deadline waits until the earlier one is looked at.
	if due < t.due {
		t.due = due
		heap.Fix(&sh.timers, t.place)
	}
}

// due is when the clock of this machine has passed the deadline of a bucket for
// certain: buckets on the log's clock wait for more.
func (sh *shard) due(e *entry, life time.Duration) int64 {
	if e.flags&(replay|late) != 0 {
		return (int64(e.wall) + idle + 1) * 1e9
	}
	return e.deadline(life)
}

// deadline is the end of a bucket with a duration, on its own clock.
func (e *entry) deadline(life time.Duration) int64 { return later(e.first, int64(life)) }

// ripe takes out the buckets whose deadline has passed at now, and appends what
// overflows.
func (sh *shard) ripe(now int64, t *table, out []*burst) []*burst {
	for len(sh.timers) > 0 && sh.timers[0].due <= now {
		first := sh.timers[0]
		e := sh.at(first.entry)
		if int(e.slot) >= len(t.scenarios) {
			return out // of rules that come into force just now
		}
		s := t.scenarios[e.slot]
		if due := sh.due(e, s.life); due > now && now < math.MaxInt64 {
			first.due = due
			heap.Fix(&sh.timers, 0)
			continue
		}
		if b := sh.strike(e, s); b != nil {
			out = append(out, b)
		}
	}
	return out
}

// expire takes the bucket of a scenario with a duration out when its deadline has
// passed at the instant of the event that is to be poured.
func (sh *shard) expire(p *pour) *burst {
	e := sh.find(&p.key)
	if e == nil || e.flags&filled == 0 || e.side == 0 || sh.sides.at(e.side).timer == nil {
		return nil
	}
	s := p.drop.Scenario
	if e.clock(p.t) < e.deadline(s.life) {
		return nil
	}
	return sh.strike(e, s)
}

// strike ends a bucket at its deadline; nil where its overflow stays quiet.
func (sh *shard) strike(e *entry, s *Scenario) *burst {
	tm := sh.sides.at(e.side).timer
	b := &burst{
		scenario: s, hash: e.key, slot: e.slot, key: tm.key, first: e.first, last: tm.last, at: e.deadline(s.life),
		count: e.count, wall: e.wall, late: e.flags&late != 0, zone: zoneOf(int(tm.zone)), site: tm.site, width: tm.width, depth: int(tm.depth),
	}
	b.direct, b.detect, b.replayed = e.flags&direct != 0, e.flags&detect != 0, e.flags&replay != 0
	b.samples = append(sh.ring.last(tm.prev, s.keep-1), sample{body: tm.body})
	sh.stats.Timed++
	sh.spill(e)
	if sh.judge(e, b) != overflowed {
		return nil
	}
	return b
}
