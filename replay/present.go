package replay

import "time"

// settleEvery is how many events pass between two looks at a part of the buckets.
const settleEvery = 4096

// present is where the logs are: it has buckets that are over there go, so that a
// long replay needs no more memory than a short one.
type present struct {
	settle func(time.Time)
	events int
	oldest time.Time // since the last look
}

// took notes an event. The present is the oldest of the last few thousand: a single
// line with a date in the future must not end the buckets of all others.
func (p *present) took(at time.Time) {
	if p.events == 0 || at.Before(p.oldest) {
		p.oldest = at
	}
	if p.events++; p.events < settleEvery {
		return
	}
	p.settle(p.oldest)
	p.events = 0
}
