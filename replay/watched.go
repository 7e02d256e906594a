package replay

import "github.com/rampart-edge/rampart/scenarios"

// watched are buckets that tell what each drop did. They are slow: the figures of
// all buckets are compared before and after.
type watched struct {
	memory   *scenarios.Memory
	poured   func(d scenarios.Drop, outcome string, after scenarios.Level)
	overflow func(*scenarios.Overflow)
}

// Pour implements scenarios.Buckets.
func (w *watched) Pour(batch []scenarios.Drop) {
	var over []*scenarios.Overflow
	for i := range batch {
		before := w.memory.Stats()
		// Overflows wait: they may pour, too.
		over = append(over, w.memory.Inline(batch[i:i+1])...)
		w.poured(batch[i], difference(before, w.memory.Stats()), w.memory.Level(batch[i]))
	}
	for _, o := range over {
		w.overflow(o)
	}
}

// difference names what a single drop did by the figures that it moved.
func difference(a, b scenarios.Stats) string {
	switch {
	case b.Refused > a.Refused:
		return Refused
	case b.Discarded > a.Discarded:
		return Duplicate
	case b.Cancelled > a.Cancelled:
		return Cancelled
	case b.Filtered > a.Filtered:
		return Filtered
	case b.Blackholed > a.Blackholed:
		return Blackholed
	case b.Overflowed > a.Overflowed:
		return Overflowed
	}
	return Poured
}
