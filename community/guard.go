package community

import (
	"errors"
	"fmt"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// shrinkTo is the part of a list that may be left at least, in percent; smaller lists
	// than shrinkFrom may do as they like, unless they empty.
	shrinkTo   = 10
	shrinkFrom = 20
	// maxCovered is how many IPv4 addresses a list may cover: a sixteenth of all.
	maxCovered = 1 << 28
	// maxCovered6 is the same for IPv6 in networks of 32 bits, of which 2000::/3 has 1 << 29.
	maxCovered6 = 1 << 25
)

// errGuard is in the chain of what guard says.
var errGuard = errors.New("refused, what was in force stays")

// guard says why a list is not to be believed: somebody's server is broken, or not
// theirs any more. old is what is in force, nil for nothing.
func guard(old, next *decisions.Blocklist, report *decisions.ListReport) error {
	if err := report.Doubt(next); err != nil {
		return fmt.Errorf("%w: %w", errGuard, err)
	}
	switch {
	case covered(next) > maxCovered:
		return fmt.Errorf("%w: it covers more than a sixteenth of the IPv4 addresses", errGuard)
	case covered6(next) > maxCovered6:
		return fmt.Errorf("%w: it covers more than a sixteenth of the IPv6 addresses", errGuard)
	case old == nil:
		return nil
	case next.Len() == 0:
		return fmt.Errorf("%w: it is empty, and had %d entries", errGuard, old.Len())
	case shrunk(old.Len(), next.Len()):
		return fmt.Errorf("%w: it has %d entries, and had %d", errGuard, next.Len(), old.Len())
	}
	return nil
}

// shrunk reports whether a list lost more than nine tenths.
func shrunk(old, next int) bool { return old >= shrinkFrom && next*100 < old*shrinkTo }

// covered counts the IPv4 addresses of a list.
func covered(l *decisions.Blocklist) int64 {
	addresses, ranges, _ := l.Kinds()
	n := int64(addresses)
	for i := range ranges {
		n += 1 << (32 - l.At(addresses+i).Bits())
	}
	return n
}

// covered6 counts the IPv6 networks of 32 bits of a list. Narrower ones do not count.
func covered6(l *decisions.Blocklist) (n int64) {
	addresses, ranges, all := l.Kinds()
	for i := range all {
		if p := l.At(addresses + ranges + i); p.Bits() <= 32 {
			n += 1 << (32 - p.Bits())
		}
	}
	return n
}
