package cluster

import (
	"encoding/binary"
	"errors"
	"math"
)

// pourReply is what pour.lua answered.
type pourReply struct {
	expired, poured, discarded, cancelled, blackholed, broken, forgotten uint32

	events []pourEvent // in the order of the parcels' buckets
}

// pourEvent tells what became of a parcel: pours from+1 to to (counted from 1) went
// into the bucket gen, and count events were in it then.
type pourEvent struct {
	item     int // of the call
	from, to int
	gen      uint32
	count    uint32

	// Where the last of them overflowed the bucket:
	overflow  bool
	first, at int64 // µs
	flags     uint8
	record    uint16 // number in the call, part of its id in the outbox
	nodes     nodeSet
}

const (
	replyHead     = 7 * 4
	replyKept     = 1 + 3*2 + 2*4
	replyOverflow = 1 + 3*2 + 4 + 2*8 + 4 + 1 + 2 + 32
)

var errPourReply = errors.New("the answer of the script of buckets cannot be read")

// decodePourReply reads an answer to a call of so many items. It comes from Redis and
// may be anything.
func decodePourReply(b []byte, items int, out *pourReply) error {
	le := binary.LittleEndian
	if len(b) < replyHead {
		return errPourReply
	}
	*out = pourReply{events: out.events[:0]}
	for i, n := range [...]*uint32{&out.expired, &out.poured, &out.discarded, &out.cancelled, &out.blackholed, &out.broken, &out.forgotten} {
		*n = le.Uint32(b[4*i:])
	}
	for b = b[replyHead:]; len(b) > 0; {
		e := pourEvent{overflow: b[0] == 2}
		size := replyKept
		if e.overflow {
			size = replyOverflow
		}
		if b[0] != 1 && b[0] != 2 || len(b) < size {
			return errPourReply
		}
		e.item, e.to, e.from = int(le.Uint16(b[1:])), int(le.Uint16(b[3:])), int(le.Uint16(b[5:]))
		e.gen = le.Uint32(b[7:])
		rest := b[11:]
		if e.overflow {
			e.first, e.at = instantOf(rest), instantOf(rest[8:])
			rest = rest[16:]
		}
		e.count = le.Uint32(rest)
		if e.overflow {
			e.flags, e.record = rest[4], le.Uint16(rest[5:])
			copy(e.nodes[:], rest[7:])
		}
		if e.item >= items || e.from >= e.to || e.to > mostPours || e.count == 0 ||
			!soundInstant(e.first) || !soundInstant(e.at) {
			return errPourReply
		}
		out.events = append(out.events, e)
		b = b[size:]
	}
	return nil
}

// instantOf reads a double that should be a whole number of µs; -1: it is not.
func instantOf(b []byte) int64 {
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if !(f >= 0 && f <= lastInstant) {
		return -1
	}
	return int64(f)
}
