package bucketstest

import (
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/scenarios"
)

// fits is two descriptions of a leaky bucket. In replay: float tokens, refilled by
// the time since the last event that fitted. Live: each event takes one leakspeed
// to leak out, one after the other, and there is room while fewer than capacity
// of them are inside.
func (b *modelBucket) fits(t time.Time) bool {
	if b.replay {
		elapsed := time.Duration(0)
		if t.After(b.last) {
			elapsed = t.Sub(b.last)
		}
		rate := 1 / b.rule.leak.Seconds()
		gained := elapsed.Seconds() * rate
		tokens := b.tokens + gained
		if tokens > float64(b.rule.Capacity) {
			tokens = float64(b.rule.Capacity)
		}
		tokens -= 1
		if tokens < 0 {
			wait := -tokens / rate
			if time.Duration(1e9*wait) > 0 {
				return false
			}
		}
		b.tokens, b.last = tokens, t
		return true
	}
	if t.After(b.clock) {
		b.clock = t
	}
	each := b.rule.leak.Truncate(time.Microsecond)
	if b.empty.Before(b.clock) {
		b.empty = b.clock
	}
	if b.empty.Sub(b.clock) > time.Duration(b.rule.Capacity-1)*each {
		return false
	}
	b.empty = b.empty.Add(each)
	return true
}

// vars is what conditions see: the events as they came.
func (b *modelBucket) vars() *expression.Vars {
	v := &expression.Vars{Evt: b.drop.Event, Queue: &event.Queue{L: len(b.events)}, Leaky: b.leaky()}
	for _, e := range b.kept() {
		v.Queue.Queue = append(v.Queue.Queue, e.ev)
	}
	return v
}

func (b *modelBucket) leaky() *scenarios.LeakyVars {
	return &scenarios.LeakyVars{Count: len(b.events), Capacity: b.rule.Capacity, Leakspeed: b.rule.leak}
}

func (b *modelBucket) condition() bool {
	if b.rule.condition == nil {
		return false
	}
	ok, err := b.rule.condition.Bool(b.vars())
	return ok && err == nil
}

// bayes works the probability out anew: what was evidence of evil is, and so on.
func (b *modelBucket) bayes() bool {
	if b.rule.Type != "bayesian" && b.rule.BayesianThreshold == 0 {
		return false
	}
	p := b.rule.BayesianPrior
	for i, c := range b.rule.BayesianConditions {
		holds := b.fallen[i]
		if !holds {
			var err error
			if holds, err = b.rule.beliefs[i].Bool(b.vars()); err != nil {
				continue
			}
			b.fallen[i] = holds && c.Guillotine
		}
		evil, benign := c.ProbGivenEvil, c.ProbGivenBenign
		if !holds {
			evil, benign = 1-evil, 1-benign
		}
		above := evil * p
		below := benign * (1 - p)
		p = above / (above + below)
	}
	return p > b.rule.BayesianThreshold
}

// passes is the overflow filter: what fails lets pass.
func (b *modelBucket) passes() bool {
	if b.rule.filter == nil {
		return true
	}
	v := b.vars()
	v.Evt, v.Signal = nil, &event.RuntimeAlert{}
	ok, err := b.rule.filter.Bool(v)
	return ok || err != nil
}
