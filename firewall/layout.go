package firewall

import (
	"cmp"
	"fmt"
	"iter"
	"time"
)

// Names inside the table, shared by the netlink and the text form of it.
const (
	chainPre    = "pre"     // the base chain: looks sources up
	chainDecide = "decide"  // sends a marked packet to the chain of its origin
	mapOrigins  = "origins" // mark → chain
	setAllow4   = "allow4"
	setAllow6   = "allow6"

	// hookPriority is before raw (-300) and connection tracking (-200): a
	// dropped packet costs no tracking entry, and the source is still the
	// client's, whatever NAT does later.
	hookPriority = -310
)

// maxOrigins bounds the origins that have a counter of their own; the last one
// stands for all that come after.
const maxOrigins = 256

const otherOrigins = "other"

// Limits of an element's time-out. The kernel takes 0 for "for ever".
const (
	minTimeout = time.Second
	maxTimeout = 10 * 365 * 24 * time.Hour
)

// width is a family and prefix length: what a map is made for.
type width struct {
	v6   bool
	bits uint8
}

// singles reports whether w holds single addresses.
func (w width) singles() bool { return w.bits == w.max() }

func (w width) max() uint8 {
	if w.v6 {
		return 128
	}
	return 32
}

// mapName returns ban4, ban6, n4_<length> or n6_<length>.
func (w width) mapName() string {
	family := 4
	if w.v6 {
		family = 6
	}
	if w.singles() {
		return fmt.Sprintf("ban%d", family)
	}
	return fmt.Sprintf("n%d_%d", family, w.bits)
}

// compareWidths orders IPv4 first, then the longer prefix, so that the more
// specific ban counts a packet.
func compareWidths(a, b width) int {
	if a.v6 != b.v6 {
		if a.v6 {
			return 1
		}
		return -1
	}
	return cmp.Compare(b.bits, a.bits)
}

// Names of what belongs to the origin with that number, from 1.
func counterName(origin int) string { return fmt.Sprintf("o_%d", origin) }
func chainName(origin int) string   { return fmt.Sprintf("act_%d", origin) }

// alternate returns the name of the table to build beside active.
func alternate(base, active string) string {
	if active == base {
		return base + "_b"
	}
	return base
}

// plan is everything that should be in the table. It reads the mirror: only the
// writer may use it.
type plan struct {
	origins []string // number 1 first
	allow   []span
	widths  []width // in order of lookup; ban4 and ban6 are always among them
	sizes   map[width]int
	entries iter.Seq2[key, entry]
	now     func() time.Time
}

// change is one thing to do to a map.
type change struct {
	key    key
	until  int64 // Unix nanoseconds
	origin uint16
	op     op
}

type op uint8

const (
	opAdd     op = iota // the map has no such element
	opExtend            // another time-out, longer or shorter; same origin
	opReplace           // another origin, or unclear whether the element is still there
	opRemove
)

// timeout is how long an element ending at until lives from now on; false if
// it is over.
func timeout(until int64, now time.Time) (time.Duration, bool) {
	left := until - now.UnixNano()
	if left <= 0 {
		return 0, false
	}
	return min(max(time.Duration(left), minTimeout), maxTimeout), true
}
