package scenarios

import (
	"slices"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// mostBits is how many predicates the conditions of a scenario share a record's
// bits for; those of further conditions run as whole programs.
const mostBits = 15

// mostBeliefs is how many conditions a bayesian scenario has at most.
const mostBeliefs = 64

// judge is what asks, after an event was poured, whether the bucket overflows: a
// condition, a bayesian network, or both.
type judge struct {
	condition *expression.Condition // nil: none
	bayes     *bayes                // nil: none
	asks      []*expression.Program // predicates, by their bit
	fields    []string              // texts that are kept of an event, sorted
	whole     bool                  // more than these texts is read
	queued    bool                  // a condition looks at the queue
	leaky     bool                  // one may look at the bucket itself
}

// bayes is a bayesian network of one step, in CrowdSec's arithmetic: single
// precision, from the prior anew after every event.
type bayes struct {
	prior, threshold float32
	beliefs          []belief
}

type belief struct {
	condition    *expression.Condition
	base         int // bit of its first predicate; -1: it has none
	evil, benign float32
	guillotine   bool
}

// update is Bayes' rule. The conversions keep compilers from fusing operations,
// which would round differently.
func update(p, evil, benign float32) float32 {
	up := float32(evil * p)
	rest := float32(benign * float32(1-p))
	return up / float32(up+rest)
}

// seal works out what is to be kept of events.
func (j *judge) seal() {
	paths := map[string]bool{}
	note := func(c *expression.Condition) (base int) {
		reads := c.Reads()
		j.queued = j.queued || c.UsesQueue()
		j.whole = j.whole || reads.Opaque || reads.Writes
		j.leaky = j.leaky || reads.Opaque
		for _, p := range reads.Paths {
			switch {
			case isText(p):
				paths[p] = true
			case p != "Time" && p != "Type":
				j.whole = true
			}
		}
		if len(j.asks)+len(c.Predicates()) > mostBits {
			return -1
		}
		base = len(j.asks)
		j.asks = append(j.asks, c.Predicates()...)
		return base
	}
	if j.condition != nil {
		note(j.condition)
	}
	if j.bayes != nil {
		for i := range j.bayes.beliefs {
			j.bayes.beliefs[i].base = note(j.bayes.beliefs[i].condition)
		}
	}
	for p := range paths {
		j.fields = append(j.fields, p)
	}
	slices.Sort(j.fields)
}

// programs returns what is run on events.
func (j *judge) programs() []*expression.Program {
	var list []*expression.Program
	if j.condition != nil {
		list = append(list, j.condition.Program)
	}
	if j.bayes != nil {
		for i := range j.bayes.beliefs {
			list = append(list, j.bayes.beliefs[i].condition.Program)
		}
	}
	return list
}

// look notes what the conditions will want to know of the event.
func (p *pour) look() {
	j, ev := p.drop.Scenario.judge, p.drop.Event
	p.vars.Evt = ev
	p.holds, p.whole, p.record = 0, nil, p.record[:0]
	if !j.queued {
		return
	}
	for i, ask := range j.asks {
		ok, err := ask.Bool(&p.vars)
		switch {
		case err != nil:
			p.holds |= broken
		case ok:
			p.holds |= 1 << i
		}
	}
	if j.whole || ev.Type == event.OverflowType {
		p.whole = ev.Clone()
		return
	}
	p.record = appendFields(p.record, ev, j.fields)
}

// verdict asks whether the bucket overflows, without a lock on the bucket. tripped
// are the guillotines that have fallen by now.
//
// CrowdSec compatible: a condition that fails is no overflow; one of a bayesian
// network that fails changes nothing.
func (j *judge) verdict(m *Memory, p *pour) (overflows bool, tripped uint64) {
	tripped = p.tripped
	if j.condition != nil {
		ok, err := p.ask(j.condition, 0)
		if err != nil {
			m.fault(p.table, p.slot, err)
		}
		if ok {
			return true, tripped
		}
	}
	if j.bayes == nil {
		return false, tripped
	}
	posterior := j.bayes.prior
	for i := range j.bayes.beliefs {
		b := &j.bayes.beliefs[i]
		holds := tripped&(1<<i) != 0
		if !holds {
			ok, err := p.ask(b.condition, b.base)
			if err != nil {
				m.fault(p.table, p.slot, err)
				continue
			}
			holds = ok
		}
		if !holds {
			posterior = update(posterior, 1-b.evil, 1-b.benign)
			continue
		}
		posterior = update(posterior, b.evil, b.benign)
		if b.guillotine {
			tripped |= 1 << i
		}
	}
	return posterior > j.bayes.threshold, tripped
}

// ask runs one condition: the quick way where that can tell, else as a whole.
func (p *pour) ask(c *expression.Condition, base int) (bool, error) {
	if base >= 0 && p.window.queue.bad == 0 {
		p.window.base = base
		if holds, known := c.Quick(&p.window, &p.vars); known {
			return holds, nil
		}
	}
	p.vars.Queue = p.window.all()
	return c.Bool(&p.vars)
}
