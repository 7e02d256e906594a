package scenarios

import (
	"hash/fnv"
	"slices"
	"strings"

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
	form      uint16                // of records: what their bits and fields mean
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
	h := fnv.New32a()
	for _, ask := range j.asks {
		h.Write([]byte(ask.Source() + "\x00"))
	}
	h.Write([]byte("\x00" + strings.Join(j.fields, "\x00")))
	j.form = uint16(h.Sum32())
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

// needs reports whether conditions can only be asked of ev as a whole. An overflow
// has all it says in places that no record keeps.
func (j *judge) needs(ev *event.Event) bool { return j.whole || ev.Type == event.OverflowType }

// verdict is what came of asking.
type verdict struct {
	overflows bool
	tripped   uint64 // the guillotines that have fallen by now
	failed    int    // conditions that failed
	err       error  // of the last of them
}

func (v *verdict) fault(err error) {
	v.failed++
	v.err = err
}

// ask asks whether the bucket that x shows overflows, without a lock on it; tripped
// are the guillotines that have fallen before.
//
// CrowdSec compatible: a condition that fails is no overflow; one of a bayesian
// network that fails changes nothing.
func (j *judge) ask(x *extract, tripped uint64) (v verdict) {
	defer x.close()
	v.tripped = tripped
	if j.condition != nil {
		ok, err := x.ask(j.condition, 0)
		if err != nil {
			v.fault(err)
		}
		if ok {
			v.overflows = true
			return v
		}
	}
	if j.bayes != nil {
		j.bayes.ask(x, &v)
	}
	return v
}

func (n *bayes) ask(x *extract, v *verdict) {
	posterior := n.prior
	for i := range n.beliefs {
		b := &n.beliefs[i]
		holds := v.tripped&(1<<i) != 0
		if !holds {
			ok, err := x.ask(b.condition, b.base)
			if err != nil {
				v.fault(err)
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
			v.tripped |= 1 << i
		}
	}
	v.overflows = posterior > n.threshold
}
