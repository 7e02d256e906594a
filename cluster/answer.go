package cluster

import (
	"encoding/binary"
	"slices"
	"time"
)

// answered takes the answer to a call: counts, samples that now have their number,
// and overflows.
func (g *group) answered(c *chunk, one *pourCall, value any) {
	text, _ := value.(string)
	var r pourReply
	if err := decodePourReply([]byte(text), len(one.items), &r); err != nil {
		g.b.counts.failed.Add(int64(len(one.items)))
		g.b.complain("the answer to a call for shared buckets is lost", err)
		return
	}
	g.b.counts.note(&r)
	var list []placed // buckets come one after the other
	for i := range r.events {
		if at, sp := g.heard(c, one, &r.events[i]); sp != nil {
			list = append(list, placed{at, sp})
		}
	}
	g.b.outbox.putAll(list)
}

// heard keeps the samples that an event of the answer tells the numbers of. It
// returns the overflow and the number of its parcel, if it is one.
func (g *group) heard(c *chunk, one *pourCall, e *pourEvent) (at int32, sp *spilled) {
	head := one.items[e.item]
	p := &c.parcels[head]
	gen := int64(e.gen)
	keep := p.scenario.Keep()
	var newest *parcel
	// Pour j of the parcel is event count-(to-j) of its bucket.
	j := 0
	for n := head; n >= 0 && j < e.to; n = c.parcels[n].next {
		it := &c.parcels[n]
		for range it.count {
			if j++; j > e.to {
				break
			}
			newest, at = it, n
			behind := e.to - j
			if j <= e.from || behind >= keep || e.overflow && j == e.to || uint32(behind) >= e.count {
				continue
			}
			if s := c.of(it.sample); len(s) > 0 {
				g.b.evidence.Put(p.key, gen, e.count-uint32(behind), s)
			}
		}
	}
	if !e.overflow || newest == nil {
		return 0, nil
	}
	in := c.info(newest)
	sp = &spilled{
		id: outboxID(g.name, one.seq, e.record), scenario: p.scenario, sourceless: newest.sourceless, since: time.Now(),
		record: record{
			owner: g.b.owner, flags: e.flags&^flagWidth64 | newest.flags&flagWidth64, depth: in.depth,
			scenario: p.scenario.ID(), key: p.key, gen: gen, first: e.first, last: e.at, at: e.at, count: e.count, nodes: e.nodes,
			group: in.group, site: in.site, incident: in.incident, source: in.source,
		},
	}
	if s := c.of(newest.sample); len(s) > 0 {
		sp.sample = slices.Clone(s)
	}
	return at, sp
}

// outboxID is the name that pour.lua gives overflow number n of a call.
func outboxID(group [8]byte, seq int64, n uint16) string {
	return string(binary.LittleEndian.AppendUint16(appendDouble(group[:], seq), n))
}
