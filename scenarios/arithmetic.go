package scenarios

import (
	"math"
	"time"
)

// leak is how a bucket of one scenario fills and empties, in the units of both
// arithmetics. A bucket's level is kept in a uint64 whose meaning depends on the
// arithmetic: the bits of a float64 number of tokens in replay, microseconds of
// credit live.
type leak struct {
	burst float64 // tokens of an empty bucket
	rate  float64 // tokens a second
	full  int64   // microseconds of credit of an empty bucket
	each  int64   // microseconds of credit that one event takes
}

func newLeak(capacity int, speed time.Duration) leak {
	l := leak{burst: float64(capacity), each: speed.Microseconds()}
	if speed > 0 {
		l.rate = 1 / speed.Seconds()
	}
	l.full = int64(capacity) * l.each
	return l
}

// empty returns the level of a new bucket.
func (l *leak) empty(replay bool) uint64 {
	if replay {
		return math.Float64bits(l.burst)
	}
	return uint64(l.full)
}

// takeReplay is CrowdSec's arithmetic, in its order of float64 operations: level
// and last move on unless the event does not fit. A deficit below one nanosecond
// is none, so events exactly one leakspeed apart always fit; and last moves back
// when t does, which a Hub test depends on. The conversions keep compilers from
// fusing multiply and add, which would round differently.
func (l *leak) takeReplay(level uint64, last, t int64) (uint64, int64, bool) {
	tokens := math.Float64frombits(level)
	if t > last {
		tokens += float64(time.Duration(t-last).Seconds() * l.rate)
		tokens = min(l.burst, tokens)
	}
	tokens--
	if tokens < 0 {
		if time.Duration(float64(1e9)*float64(-tokens/l.rate)) > 0 {
			return level, last, false
		}
	}
	return math.Float64bits(tokens), t, true
}

// takeLive is the arithmetic of live traffic, the same in memory and in Redis:
// whole microseconds, and a last that never moves back, so that two sources with
// different clocks on one key cannot hide an attack. All in microseconds.
func (l *leak) takeLive(level uint64, last, t int64) (uint64, int64, bool) {
	credit := int64(level)
	if t > last {
		// The difference is compared first: it may be larger than any credit.
		if gained := t - last; gained >= l.full-credit {
			credit = l.full
		} else {
			credit += gained
		}
	}
	if credit < l.each {
		return level, last, false
	}
	return uint64(credit - l.each), max(last, t), true
}

// fits returns how many more events fit right now at this level.
func (l *leak) fits(level uint64, replay bool) int64 {
	if replay {
		return int64(math.Float64frombits(level))
	}
	return int64(level) / l.each
}
