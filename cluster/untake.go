package cluster

import "github.com/rampart-edge/rampart/scenarios"

// untake gives a pour that could not reach Redis to the node's own memory.
func (b *Buckets) untake(c *chunk, p *parcel) {
	in := c.info(p)
	d := b.remote.Drop(&scenarios.Pour{
		Scenario: p.scenario, Group: in.group, At: p.at, Count: int(p.count),
		Distinct: p.distinct, Compare: p.flags&parcelCompare != 0, Cancel: p.flags&parcelCancel != 0,
		Direct: p.flags&flagDirect != 0, Detect: p.flags&flagDetect != 0, Width64: p.flags&flagWidth64 != 0,
		Site: in.site, Incident: in.incident, Depth: int(in.depth), Sample: c.of(p.sample),
	})
	b.counts.untaken.Add(int64(p.count))
	b.local.Pour([]scenarios.Drop{d})
}
