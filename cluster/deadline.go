package cluster

import (
	"cmp"
	_ "embed"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/scenarios"
)

//go:embed deadline.lua
var deadlineLua string

const (
	// mostDue is how many buckets of one scenario and shard end in one round.
	mostDue = 256
	// mostStruck is how many end in one call, which must not take Redis' time for long,
	// and mostEnds in one round: more have time until the next.
	mostStruck = 256
	mostEnds   = 16_384
	// mostTimed is how many scenarios with a duration are watched.
	mostTimed = 1024
)

// deadlines ends buckets whose duration is over. Redis has, for each such scenario
// and shard, the buckets by their deadlines; the node whose script ends one is its
// owner.
type deadlines struct {
	b      *Buckets
	strike *script
	name   [8]byte // in ids
	seq    uint64
	wake   chan time.Time

	mu    sync.Mutex
	seen  map[[16]byte]timed
	asked int // looks that are not over
}

// timed is a scenario with a duration that was poured into.
type timed struct {
	scenario *scenarios.Scenario
	last     time.Time
}

func newDeadlines(b *Buckets) *deadlines {
	return &deadlines{
		b: b, strike: b.c.script("deadline", recordLua+bucketLua+deadlineLua), name: instance(),
		wake: make(chan time.Time, 1), seen: map[[16]byte]timed{},
	}
}

// note has the deadlines of s watched.
func (d *deadlines) note(s *scenarios.Scenario) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.seen[s.ID()]; known || len(d.seen) < mostTimed {
		d.seen[s.ID()] = timed{s, time.Now()}
	}
}

// watched returns the scenarios whose buckets may have a deadline: those of the rules
// in force, and those of rules before them that buckets may still be there of.
func (d *deadlines) watched() (list []*scenarios.Scenario) {
	for _, s := range *d.b.known.Load() {
		if s.Timed() && s.Shareable() {
			d.note(s)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, t := range d.seen {
		if time.Since(t.last) > t.scenario.Life()+2*lateFor {
			delete(d.seen, id)
			continue
		}
		list = append(list, t.scenario)
	}
	return list
}

// lateFor is how long buckets of late events wait for more.
const lateFor = 10 * time.Minute

// poke has run look for deadlines; now counts where instants are absolute.
func (d *deadlines) poke(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case d.wake <- now:
		d.asked++
	default:
	}
}

func (d *deadlines) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked == 0
}

// run ends buckets until the end of Buckets.
func (d *deadlines) run() {
	for {
		select {
		case <-d.b.ctx.Done():
			return
		case now := <-d.wake:
			if d.b.c.Up() {
				d.end(now.UnixMicro())
			}
			d.mu.Lock()
			d.asked--
			d.mu.Unlock()
		}
	}
}

// due is a bucket whose deadline seems to be over.
type due struct {
	scenario *scenarios.Scenario
	key      [16]byte
}

// end ends what is over. What fails is there the next time.
func (d *deadlines) end(now int64) {
	list := d.watched()
	if len(list) == 0 {
		return
	}
	server := "0"
	if d.b.o.absolute {
		server = strconv.FormatInt(now, 10)
	} else {
		t, err := d.b.c.rdb().Time(d.b.ctx).Result()
		if err != nil {
			return
		}
		now = t.UnixMicro()
	}
	over := d.find(list, now)
	if len(over) == 0 {
		return
	}
	calls := make([]call, len(over))
	ids := make([]string, len(over))
	for i, one := range over {
		d.seq++
		ids[i] = string(binary.BigEndian.AppendUint64(append(d.name[:], 't'), d.seq))
		calls[i] = call{
			d.b.bucketKeys(one.scenario, &one.key),
			[]any{d.b.packRule(one.scenario), server, d.b.owner[:], ids[i]},
		}
	}
	var out []*spilled
	for from := 0; from < len(calls) && d.b.c.Up(); from += mostStruck {
		for i, r := range d.strike.RunAll(d.b.ctx, calls[from:min(from+mostStruck, len(calls))]) {
			text, _ := r.value.(string)
			if rec, err := decodeRecord([]byte(text)); err == nil {
				i += from
				out = append(out, &spilled{id: ids[i], record: rec, scenario: over[i].scenario, since: time.Now()})
			}
		}
	}
	slices.SortFunc(out, func(a, b *spilled) int {
		return cmp.Or(cmp.Compare(a.record.at, b.record.at), cmp.Compare(a.record.first, b.record.first),
			strings.Compare(a.scenario.Name, b.scenario.Name), strings.Compare(a.record.group, b.record.group))
	})
	for _, it := range out {
		d.b.outbox.put(it)
	}
}

// find asks all shards for deadlines before now.
func (d *deadlines) find(list []*scenarios.Scenario, now int64) (out []due) {
	pipe := d.b.c.rdb().Pipeline()
	by := &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(now, 10), Count: mostDue}
	cmds := make([]*redis.StringSliceCmd, 0, len(list)*shards)
	for _, s := range list {
		for shard := range shards {
			cmds = append(cmds, pipe.ZRangeByScore(d.b.ctx, d.b.deadlineKey(s, shard), by))
		}
	}
	_, _ = pipe.Exec(d.b.ctx) // each has its own error
	for i, cmd := range cmds {
		for _, member := range cmd.Val() {
			if len(out) < mostEnds && len(member) == 16 && shardOf((*[16]byte)([]byte(member))) == i%shards {
				out = append(out, due{list[i/shards], [16]byte([]byte(member))})
			}
		}
	}
	return out
}

func (b *Buckets) deadlineKey(s *scenarios.Scenario, shard int) string {
	id := s.ID()
	return b.keyOf(shard, "t:") + string(id[:])
}

// bucketKeys are the first five keys of compare.lua, all that deadline.lua has.
func (b *Buckets) bucketKeys(s *scenarios.Scenario, key *[16]byte) []string {
	shard, name := shardOf(key), string(key[:])
	return []string{
		b.keyOf(shard, "b:") + name, b.keyOf(shard, "q:") + name, b.keyOf(shard, "d:") + name,
		b.keyOf(shard, "o"), b.deadlineKey(s, shard),
	}
}
