package appliance

import (
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/scenarios"
)

// buckets take what is poured to where it is kept: in this node's own memory, or
// with the fleet as soon as it is known how the fleet names its buckets. Snapshots,
// and the figures of Stats, are of the node's own memory in any case.
type buckets struct {
	*scenarios.Memory
	shared   atomic.Pointer[cluster.Buckets]
	rules    *scenarios.Rules    // as last used, under the appliance's mu like all that writes
	contexts *scenarios.Contexts // so too
}

// bucketKeeper is what takes what is poured: scenarios.Memory or cluster.Buckets.
type bucketKeeper interface {
	scenarios.Buckets
	engine.Inliner
	Sweep(now time.Time)
	Use(r *scenarios.Rules)
	UseContexts(c *scenarios.Contexts)
}

// keeper is the one in force.
func (b *buckets) keeper() bucketKeeper {
	if s := b.shared.Load(); s != nil {
		return s
	}
	return b.Memory
}

// share has the fleet's buckets take over.
func (b *buckets) share(with *cluster.Buckets) {
	if b.rules != nil {
		with.Use(b.rules)
		with.UseContexts(b.contexts)
	}
	b.shared.Store(with)
}

// cancelled is how often cancel_on emptied a bucket, here or in the fleet.
func (b *buckets) cancelled() int64 {
	n := b.Stats().Cancelled
	if s := b.shared.Load(); s != nil {
		n += s.Stats().Cancelled
	}
	return n
}

// Pour implements scenarios.Buckets.
func (b *buckets) Pour(batch []scenarios.Drop) { b.keeper().Pour(batch) }

// Inline implements engine.Inliner.
func (b *buckets) Inline(batch []scenarios.Drop) []*scenarios.Overflow {
	return b.keeper().Inline(batch)
}

// Sweep ends what is over. Call it once a second.
func (b *buckets) Sweep(now time.Time) { b.keeper().Sweep(now) }

// Use makes r the rules in force.
func (b *buckets) Use(r *scenarios.Rules) {
	b.rules = r
	b.keeper().Use(r)
}

// UseContexts makes c what alerts say from now on.
func (b *buckets) UseContexts(c *scenarios.Contexts) {
	b.contexts = c
	b.keeper().UseContexts(c)
}
