package scenarios

import (
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Drop is one event on its way into one bucket.
type Drop struct {
	Scenario *Scenario
	Key      string // the groupby result
	At       time.Time
	// Lane keeps drops apart that have the same key but not the same clock: each
	// lane has a bucket of its own. Empty for those that happen now.
	Lane string
	// Replay asks for CrowdSec's arithmetic on the log's own clock; otherwise the
	// monotone arithmetic of live traffic counts. A bucket keeps that of the event
	// that made it.
	Replay bool
	// Count is how many times the event is poured, one after the other; 0 means 1.
	Count int
	// Distinct is the value that must be new to the bucket, where the scenario
	// asks for that.
	Distinct string
	// Uncompared says that the distinct expression failed: the event is poured
	// without a look at the values. CrowdSec compatible.
	Uncompared bool
	// Cancel empties the bucket instead.
	Cancel bool
	// Event is valid during the call only.
	Event *event.Event
}

// group is what the drops of one bucket of a scenario have in common.
func (d *Drop) group() string {
	if d.Lane != "" {
		return d.Key + "\x00" + d.Lane
	}
	return d.Key
}

// Buckets takes drops. Overflows reach the sink that it was made with, each of
// them once. Pour never blocks on I/O.
type Buckets interface {
	Pour(batch []Drop)
}

// Phase says which scenarios an event is shown to, so that one that is shown to
// both halves meets each scenario once.
type Phase uint8

// The phases.
const (
	Whole    Phase = iota // all scenarios
	Request               // those that need nothing of the response
	Response              // the others
)
