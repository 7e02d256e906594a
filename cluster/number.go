package cluster

import (
	"sync/atomic"
	"time"
)

const (
	numberFor = 10 * time.Second
	// noNumber stands for none.
	noNumber = -1
)

// numbering is the small number that stands for this node in the state of a bucket.
type numbering struct {
	// had is the last that Redis gave; until is how long it is ours, in ns of the
	// client's clock since its start.
	had   atomic.Int64
	until atomic.Int64
}

// Number is this node's number in the fleet, 0…255, that no other node has at the
// time; -1 while there is none. A node that Redis has not heard of for ten seconds
// has none and may get another.
func (c *Client) Number() int {
	if c.elapsed() >= time.Duration(c.numbering.until.Load()) {
		return noNumber
	}
	return int(c.numbering.had.Load())
}

// grant notes what a beat gave that was sent at that time.
func (n *numbering) grant(number int64, sent time.Duration) {
	if number < 0 || number > 255 {
		n.until.Store(0)
		n.had.Store(noNumber)
		return
	}
	n.had.Store(number)
	n.until.Store(int64(sent + numberFor - leaseMargin))
}
