package cluster

import (
	_ "embed"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/scenarios"
)

//go:embed record.lua
var recordLua string

//go:embed pour.lua
var pourLua string

// How much longer than it matters a state is kept, in µs: instants are Redis' own,
// but for those that tests give.
const (
	slackServer   = 1_000_000
	slackAbsolute = 10_000_000_000_000
)

// Kinds of scenario, as pour.lua knows them.
const (
	kindTrigger  = 1
	kindDistinct = 2
	kindFiltered = 4
)

// pourCall is one call of pour.lua: parcels of one lane. It is reused.
type pourCall struct {
	call
	seq       int64
	items     []int32 // heads of the parcels, in the order of the call
	head      []byte  // ARGV[1]
	scenarios []byte
	buckets   []byte
	infos     []byte
	names     []byte
	ends      []int
	index     map[*scenarios.Scenario]int
	lives     []any
}

// lane is a list of buckets whose pours may share a call: all, or those of a shard.
type lane struct {
	heads  []int32 // next parcel of each bucket
	cursor int
}

func (l *lane) empty() bool { return l.cursor >= len(l.heads) }

// mail sorts buckets into calls. It is reused.
type mail struct {
	lanes []lane
	used  []int // numbers of the lanes that have something
	calls []*pourCall
	under []*pourCall // of this round
}

func newMail() mail { return mail{lanes: make([]lane, shards)} }

// sort makes lanes of the buckets: one, or in a Redis Cluster one for each shard.
func (m *mail) sort(c *chunk, buckets []int32, clustered bool) {
	for _, n := range m.used {
		m.lanes[n].heads, m.lanes[n].cursor = m.lanes[n].heads[:0], 0
	}
	m.used = m.used[:0]
	for _, h := range buckets {
		n := 0
		if clustered {
			n = shardOf(&c.parcels[h].key)
		}
		l := &m.lanes[n]
		if len(l.heads) == 0 {
			m.used = append(m.used, n)
		}
		l.heads = append(l.heads, h)
	}
}

// round returns the next call of each lane; none at the end.
func (m *mail) round(g *group, c *chunk) []*pourCall {
	m.under = m.under[:0]
	for _, n := range m.used {
		if m.lanes[n].empty() {
			continue
		}
		if len(m.under) == len(m.calls) {
			m.calls = append(m.calls, &pourCall{index: map[*scenarios.Scenario]int{}})
		}
		one := m.calls[len(m.under)]
		one.fill(g, c, &m.lanes[n])
		m.under = append(m.under, one)
	}
	return m.under
}

// fill makes the call of the next parcels of a lane.
func (p *pourCall) fill(g *group, c *chunk, l *lane) {
	p.items, p.scenarios, p.buckets, p.infos = p.items[:0], p.scenarios[:0], p.buckets[:0], p.infos[:0]
	p.names, p.ends, p.lives = p.names[:0], p.ends[:0], p.lives[:0]
	clear(p.index)
	shard := shardOf(&c.parcels[l.heads[l.cursor]].key)
	clustered := g.b.c.clustered()
	if clustered {
		p.name(g.b.keyOf(shard, "n:"), g.name[:])
	} else {
		p.name(g.b.c.key(bucketVersion, "{n}", "n:"), g.name[:])
	}
	buckets, sets := 0, [][16]byte(nil)
	for !l.empty() && len(p.items) < mostCalled {
		first := &c.parcels[l.heads[l.cursor]]
		p.name(g.b.keyOf(shardOf(&first.key), "b:"), first.key[:])
		if clustered && first.scenario.Distinct() {
			sets = append(sets, first.key)
		}
		p.bucket(g, c, l)
		buckets++
	}
	if clustered { // what else the script touches
		p.name(g.b.keyOf(shard, "o"), nil)
		for i := range sets {
			p.name(g.b.keyOf(shard, "d:"), sets[i][:])
		}
	}
	p.seal(g, buckets)
}

func (p *pourCall) name(head string, tail []byte) {
	p.names = append(append(p.names, head...), tail...)
	p.ends = append(p.ends, len(p.names))
}

// bucket adds the next parcels of the lane's next bucket, as many as may go.
func (p *pourCall) bucket(g *group, c *chunk, l *lane) {
	le := binary.LittleEndian
	h := l.heads[l.cursor]
	p.buckets = le.AppendUint16(p.buckets, uint16(p.scenario(g, c.parcels[h].scenario)))
	count := len(p.buckets)
	p.buckets = le.AppendUint16(p.buckets, 0)
	n := uint16(0)
	for ; h >= 0 && len(p.items) < mostCalled; h = c.parcels[h].follower {
		it := &c.parcels[h]
		p.buckets = le.AppendUint64(p.buckets, math.Float64bits(float64(it.at)))
		p.buckets = le.AppendUint16(p.buckets, uint16(it.total))
		flags := it.flags
		if g.b.o.SampleBytes < 0 {
			flags &^= parcelReport
		}
		p.buckets = append(p.buckets, flags)
		// Of merged pours the last stands for all, should this node not conclude it.
		about := c.of(c.parcels[it.tail].info)
		p.buckets = le.AppendUint16(p.buckets, uint16(len(about)))
		p.infos = append(p.infos, about...)
		if it.flags&parcelCompare != 0 {
			p.buckets = le.AppendUint64(p.buckets, it.distinct)
		}
		p.items = append(p.items, h)
		n++
	}
	le.PutUint16(p.buckets[count:], n)
	if h < 0 {
		l.cursor++
	} else {
		l.heads[l.cursor] = h
	}
}

// scenario returns the number of s in the call, from 1.
func (p *pourCall) scenario(g *group, s *scenarios.Scenario) int {
	if n, ok := p.index[s]; ok {
		return n
	}
	n := len(p.index) + 1
	p.index[s] = n
	full, each := s.Credit()
	kind := byte(0)
	if s.Type == scenarios.Trigger {
		kind |= kindTrigger
	}
	if s.Distinct() {
		kind |= kindDistinct
	}
	if s.Filtered() {
		kind |= kindFiltered
	}
	life := s.Life().Microseconds()
	for _, x := range [...]int64{full, each, life, s.Blackhole.Microseconds()} {
		p.scenarios = appendDouble(p.scenarios, x)
	}
	id := s.ID()
	p.scenarios = append(append(p.scenarios, kind), id[:]...)
	p.lives = append(p.lives, strconv.FormatInt((life+g.b.slack())/1000+1, 10))
	return n
}

// appendDouble appends a whole number as Lua has it.
func appendDouble(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
}

// slack is how much longer than it matters a state is kept, in µs.
func (b *Buckets) slack() int64 {
	if b.o.absolute {
		return slackAbsolute
	}
	return slackServer
}

// seal finishes the call.
func (p *pourCall) seal(g *group, buckets int) {
	le := binary.LittleEndian
	p.seq = g.next()
	p.head = appendDouble(p.head[:0], p.seq)
	p.head = appendDouble(p.head, 0) // see send
	p.head = appendDouble(p.head, g.b.slack())
	p.head = le.AppendUint32(p.head, g.b.gens.Add(mostGens))
	p.head = le.AppendUint16(p.head, uint16(len(p.index)))
	p.head = le.AppendUint16(p.head, uint16(buckets))
	p.head = append(append(p.head, g.b.owner[:]...), g.name[:]...)
	if n := g.b.c.Number(); n >= 0 && n < 256 {
		p.head = append(p.head, byte(n))
	}
	all, from := string(p.names), 0
	p.keys = p.keys[:0]
	for _, to := range p.ends {
		p.keys = append(p.keys, all[from:to])
		from = to
	}
	p.args = slices.Concat([]any{p.head, p.scenarios, p.buckets, p.infos}, p.lives)
}

// mostGens is how many buckets a call may begin.
const mostGens = mostCalled * mostPours

// stamp notes the instant of sending.
func (p *pourCall) stamp(now time.Time, absolute bool) {
	sent := -1.0
	if !absolute {
		sent = float64(now.UnixMicro())
	}
	binary.LittleEndian.PutUint64(p.head[8:], math.Float64bits(sent))
}
