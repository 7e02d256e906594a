package scenarios_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

// keeper keeps live buckets behind a Remote, as something on another machine would:
// it knows bytes and numbers only, and does to them what the format says.
type keeper struct {
	remote   *scenarios.Remote
	evidence *scenarios.Evidence
	local    *scenarios.Memory // of replays and of what cannot be kept elsewhere
	sink     func(*scenarios.Overflow)
	buckets  map[[16]byte]*keptBucket
	holes    map[[16]byte]keptHole
	serial   int
}

type keptBucket struct {
	pour           scenarios.Pour // the last one; its slices are copies
	credit, last   int64
	first, touched int64
	count          int
	tripped        uint64
	direct, detect bool
	values         map[uint64]bool
	records        [][]byte
	generation     int64
}

type keptHole struct {
	until   int64
	watched bool
}

func openKeeper(_ *testing.T, now func() time.Time, sink func(*scenarios.Overflow)) (bucketstest.Buckets, func()) {
	k := &keeper{
		remote: scenarios.NewRemote(scenarios.RemoteOptions{Secret: []byte("sixteen bytes are enough")}), evidence: scenarios.NewEvidence(4 << 20),
		local: scenarios.NewMemory(scenarios.MemoryOptions{Now: now, Overflow: sink, MaxBuckets: 4096, SampleBytes: 1 << 20}), sink: sink,
		buckets: map[[16]byte]*keptBucket{}, holes: map[[16]byte]keptHole{},
	}
	return k, func() {}
}

// Pour implements scenarios.Buckets.
func (k *keeper) Pour(batch []scenarios.Drop) {
	for len(batch) > 0 {
		if d := &batch[0]; d.Replay || !d.Scenario.Shareable() {
			k.local.Pour(batch[:1])
			batch = batch[1:]
			continue
		}
		n := 1
		for n < len(batch) && !batch[n].Replay && batch[n].Scenario.Shareable() {
			n++
		}
		k.remote.Each(batch[:n], func(p *scenarios.Pour) {
			for range p.Count {
				k.pour(p)
			}
		})
		batch = batch[n:]
	}
}

func (k *keeper) pour(p *scenarios.Pour) {
	s, life := p.Scenario, p.Scenario.Life().Microseconds()
	if s.Type == scenarios.Trigger {
		k.spill(p, &keptBucket{first: p.At, count: 1, direct: p.Direct, detect: p.Detect}, p.At)
		return
	}
	b := k.buckets[p.Key]
	if b != nil && s.Timed() && p.At >= b.first+life {
		k.end(b)
		b = nil
	} else if b != nil && !s.Timed() && p.At > b.touched+life {
		delete(k.buckets, p.Key)
		b = nil
	}
	if p.Compare && b != nil && b.values[p.Distinct] {
		return
	}
	if p.Cancel {
		delete(k.buckets, p.Key)
		return
	}
	full, each := s.Credit()
	if b == nil {
		k.serial++
		b = &keptBucket{credit: full, last: p.At, first: p.At, direct: true, detect: true, values: map[uint64]bool{}, generation: int64(k.serial)}
		k.buckets[p.Key] = b
	}
	b.take(p)
	k.evidence.Put(p.Key, b.generation, uint32(b.count), p.Sample)
	fits := s.Type != scenarios.Leaky || b.fits(p.At, full, each)
	if !fits || s.Judged() && k.judge(b, p) {
		delete(k.buckets, p.Key)
		k.spill(p, b, p.At)
	}
}

// take notes an event that counts.
func (b *keptBucket) take(p *scenarios.Pour) {
	b.pour = *p
	b.pour.Source, b.pour.Sample = slices.Clone(p.Source), slices.Clone(p.Sample)
	b.count++
	b.touched = p.At
	b.direct, b.detect = b.direct && p.Direct, b.detect && p.Detect
	if p.Compare {
		b.values[p.Distinct] = true
	}
}

func (b *keptBucket) fits(at, full, each int64) bool {
	if at > b.last {
		b.credit = min(full, b.credit+at-b.last)
		b.last = at
	}
	if b.credit < each {
		return false
	}
	b.credit -= each
	return true
}

func (k *keeper) judge(b *keptBucket, p *scenarios.Pour) (overflows bool) {
	if !p.Scenario.Queued() {
		b.records = nil
	}
	b.records = append(b.records, slices.Clone(p.Record))
	most := p.Scenario.Limit() + 1
	if most == 0 {
		most = p.Scenario.Keep()
	}
	b.records = b.records[max(0, len(b.records)-most):]
	overflows, b.tripped = k.remote.Judge(p.Scenario, p.Group, b.first, p.At, b.count, b.tripped, b.records)
	return overflows
}

func (k *keeper) end(b *keptBucket) {
	delete(k.buckets, b.pour.Key)
	p := b.pour
	p.Incident = ""
	k.spill(&p, b, b.first+p.Scenario.Life().Microseconds())
}

func (k *keeper) spill(p *scenarios.Pour, b *keptBucket, at int64) {
	s := p.Scenario
	k.serial++
	sp := &scenarios.Spill{
		ID: fmt.Sprint(k.serial), Scenario: s, Group: p.Group, First: b.first, Last: p.At, At: at, Count: b.count,
		Direct: b.direct, Detect: b.detect, Width64: p.Width64, Site: p.Site, Incident: p.Incident, Depth: p.Depth,
		Source: p.Source, Sourceless: p.Sourceless,
	}
	for _, kept := range k.evidence.Newest(p.Key, b.generation, uint32(b.count), s.Keep()) {
		sp.Samples = append(sp.Samples, kept.Sample)
	}
	if s.Type == scenarios.Trigger {
		sp.Samples = [][]byte{p.Sample}
	}
	o := k.remote.Conclude(sp)
	hole := k.holes[p.Key]
	if !k.remote.Passes(o) || hole.until > at && (b.detect || !hole.watched) {
		return
	}
	if d := s.Blackhole.Microseconds(); d > 0 {
		k.holes[p.Key] = keptHole{at + d, b.detect}
	}
	k.sink(o)
}

// Sweep implements bucketstest.Buckets.
func (k *keeper) Sweep(now time.Time) {
	k.local.Sweep(now)
	k.ends(now.UnixMicro())
}

// Flush implements bucketstest.Buckets.
func (k *keeper) Flush() {
	k.local.Flush()
	k.ends(math.MaxInt64)
}

func (k *keeper) ends(now int64) {
	var list []*keptBucket
	for _, b := range k.buckets {
		if s := b.pour.Scenario; s.Timed() && b.first+s.Life().Microseconds() <= now {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b *keptBucket) int { return cmp.Compare(a.first, b.first) })
	for _, b := range list {
		k.end(b)
	}
}

// TestRemoteConformance: buckets behind a Remote give what buckets in a Memory give.
func TestRemoteConformance(t *testing.T) { bucketstest.Run(t, openKeeper) }

func TestRemoteConfigurations(t *testing.T) { bucketstest.Configurations(t, openKeeper) }
