package cluster

import (
	"encoding/binary"

	"github.com/rampart-edge/rampart/scenarios"
)

// parcel is a pour that waits. What it has of the event lies in the chunk.
type parcel struct {
	scenario   *scenarios.Scenario
	key        [16]byte
	at         int64 // µs of this node's clock
	distinct   uint64
	sourceless error
	info       span // see appendInfo
	sample     span
	record     span
	count      uint16 // of this one
	flags      uint8
	next       int32 // parcel that is poured with it, as if it were the same; -1: none
	tail       int32 // the last of those
	total      int32 // count of all those
	follower   int32 // head of what is poured into the same bucket after it; -1: none
}

// Flags of a parcel beside those of a record, as pour.lua knows them.
const (
	parcelCancel  = 8
	parcelCompare = 16
	parcelReport  = 32 // has a sample: the answer says which number its event got
)

// mostPours is how many times one parcel is poured at most; a greater count makes
// several.
const mostPours = 4096

// span is a part of a chunk's bytes.
type span struct{ from, to uint32 }

// chunk is what was queued between two flushes, and what it refers to.
type chunk struct {
	parcels []parcel
	bytes   []byte
}

func (c *chunk) of(s span) []byte { return c.bytes[s.from:s.to] }

// reset empties the chunk and gives back what an unusual one took.
func (c *chunk) reset() {
	clear(c.parcels)
	c.parcels = c.parcels[:0]
	if c.bytes = c.bytes[:0]; cap(c.bytes) > 1<<20 {
		c.bytes = nil
	}
	if cap(c.parcels) > 8192 {
		c.parcels = nil
	}
}

// add appends p, which must fit.
func (c *chunk) add(p *scenarios.Pour) {
	it := parcel{
		scenario: p.Scenario, key: p.Key, at: p.At, distinct: p.Distinct, sourceless: p.Sourceless,
		next: -1, follower: -1,
	}
	for _, f := range [...]struct {
		on  bool
		bit uint8
	}{
		{p.Direct, flagDirect}, {p.Detect, flagDetect}, {p.Width64, flagWidth64},
		{p.Cancel, parcelCancel}, {p.Compare, parcelCompare}, {len(p.Sample) > 0, parcelReport},
	} {
		if f.on {
			it.flags |= f.bit
		}
	}
	it.info = c.keep(func(b []byte) []byte { return appendInfo(b, p) })
	it.sample = c.keep(func(b []byte) []byte { return append(b, p.Sample...) })
	it.record = c.keep(func(b []byte) []byte { return append(b, p.Record...) })
	for left := max(p.Count, 1); left > 0; left -= mostPours {
		it.count = uint16(min(left, mostPours))
		it.total = int32(it.count)
		it.tail = int32(len(c.parcels))
		c.parcels = append(c.parcels, it)
	}
}

func (c *chunk) keep(write func([]byte) []byte) span {
	from := len(c.bytes)
	c.bytes = write(c.bytes)
	return span{uint32(from), uint32(len(c.bytes))}
}

// appendInfo appends what an outbox needs of a pour: depth u8 and the texts of a
// record, as record.append writes them.
func appendInfo(b []byte, p *scenarios.Pour) []byte {
	b = append(b, uint8(min(max(p.Depth, 0), 255)))
	b = appendShort(b, p.Group, mostGroup)
	b = appendShort(b, p.Site, mostSite)
	b = appendShort(b, p.Incident, mostIncident)
	return appendShort(b, p.Source, mostSource)
}

// info is what appendInfo wrote, read again.
type info struct {
	depth                 uint8
	group, site, incident string
	source                []byte
}

func (c *chunk) info(p *parcel) info {
	b := c.of(p.info)
	in := info{depth: b[0]}
	b = b[1:]
	text := func() []byte {
		n := 2 + int(binary.LittleEndian.Uint16(b))
		s := b[2:n]
		b = b[n:]
		return s
	}
	in.group, in.site, in.incident = string(text()), string(text()), string(text())
	in.source = append([]byte(nil), text()...)
	return in
}
