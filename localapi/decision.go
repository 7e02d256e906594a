package localapi

import (
	"cmp"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"github.com/rampart-edge/rampart/decisions"
)

// maxSorted bounds the decisions of one live answer that are put in order. Answers
// about one address are far from it.
const maxSorted = 4096

// decisionRoutes are those of decisions.
func decisionRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/decisions", bouncer, 0, (*call).getDecisions},
		{http.MethodHead, "/v1/decisions", bouncer, 0, (*call).headOK},
		{http.MethodDelete, "/v1/decisions", machine, 0, (*call).deleteDecisions},
		{http.MethodDelete, "/v1/decisions/:decision_id", machine, 0, (*call).deleteDecision},
	}
}

// headOK answers who asks only whether it may call.
func (c *call) headOK() error { return c.head(http.StatusOK) }

// getDecisions answers which decisions are in force, the strongest first, since some
// bouncers look at the first alone.
//
// CrowdSec compatible: none at all is the word null.
func (c *call) getDecisions() error {
	v, err := c.query()
	if err != nil {
		return err
	}
	s, err := readSelection(v)
	if err != nil {
		return err
	}
	limit, err := number(v, "limit")
	if err != nil {
		return err
	}
	offset, err := number(v, "offset")
	if err != nil {
		return err
	}
	if s.After, err = number(v, "id_gt"); err != nil {
		return err
	}
	out := newOutput(c)
	n := int64(0)
	for d := range c.s.strongestFirst(s.Query) {
		if n++; n <= offset {
			continue
		}
		out.open("[", ",")
		out.buf = appendDecision(out.buf, &d, d.Until.Sub(c.now), formLive)
		if err := out.spill(); err != nil {
			return err
		}
		if limit > 0 && n-offset >= limit {
			break
		}
	}
	c.s.stats.lookup(c.bouncer.Name, n > offset)
	c.s.o.Registry.Pulled(c.bouncer.Name, c.bouncer.Type, Cursor{})
	return out.close("]", "null")
}

// strongestFirst are the decisions that match q in the order of their strength: ban,
// captcha, throttle, others; of those the longest first, our own before those of
// lists. If there are too many to be sorted, only the order of types holds. Against what
// is allowed nothing is in force, though there be decisions against ranges around it.
func (s *Server) strongestFirst(q decisions.Query) iter.Seq[decisions.Decision] {
	return func(yield func(decisions.Decision) bool) {
		if !q.Within && s.o.Book.Allow().Covers(q.Prefix) {
			return
		}
		var few []decisions.Decision
		for d := range s.o.Book.Query(q) {
			if few = append(few, d); len(few) > maxSorted {
				break
			}
		}
		if len(few) <= maxSorted {
			slices.SortStableFunc(few, compareStrength)
			for _, d := range few {
				if !yield(d) {
					return
				}
			}
			return
		}
		for rank := range ranks {
			for d := range s.o.Book.Query(q) {
				if rankOf(d.Type) == rank && !yield(d) {
					return
				}
			}
		}
	}
}

// ranks is how many ranks of types there are.
const ranks = 4

// rankOf orders types, the strongest first.
func rankOf(kind string) int {
	switch kind {
	case decisions.TypeBan:
		return 0
	case decisions.TypeCaptcha:
		return 1
	case decisions.TypeThrottle:
		return 2
	}
	return ranks - 1
}

func compareStrength(a, b decisions.Decision) int {
	return cmp.Or(
		cmp.Compare(rankOf(a.Type), rankOf(b.Type)),
		b.Until.Compare(a.Until),
		cmp.Compare(foreign(&a), foreign(&b)),
		cmp.Compare(a.ID, b.ID),
	)
}

// foreign is 1 for decisions that others made for everybody.
func foreign(d *decisions.Decision) int {
	if origin, _ := cause(d.Origin, ""); origin == originLists || origin == originCommunity {
		return 1
	}
	return 0
}

// deleteDecisions ends the decisions that match the query, all if it is empty.
//
// CrowdSec compatible: its keys; an unknown one is an error.
func (c *call) deleteDecisions() error {
	v, err := c.query()
	if err != nil {
		return err
	}
	q, err := readDeletion(v)
	if err != nil {
		return err
	}
	return c.endDecisions(q)
}

// deleteDecision ends one decision.
func (c *call) deleteDecision() error {
	id, err := strconv.ParseInt(c.param("decision_id"), 10, 64)
	if err != nil {
		return fail(http.StatusBadRequest, "decision_id must be valid integer")
	}
	if id <= 0 {
		return noDecision(id)
	}
	return c.endDecisions(decisions.Query{IDs: []int64{id}, Simulated: true})
}

func noDecision(id int64) error {
	return fail(http.StatusNotFound, "decision with id '%d' doesn't exist", id)
}

// endDecisions ends what matches q and says how many these were.
func (c *call) endDecisions(q decisions.Query) error {
	ended, err := c.s.o.Book.DeleteQuery(q, c.machine.Name)
	if err != nil {
		return err
	}
	if len(ended) == 0 && len(q.IDs) > 0 {
		return noDecision(q.IDs[0])
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.deleted(len(ended))
}

// deleted is the answer to a deletion. CrowdSec compatible: the number is a text.
func (c *call) deleted(n int) error {
	return c.json(http.StatusOK, struct {
		N string `json:"nbDeleted"`
	}{strconv.Itoa(n)})
}

// flush waits until what this call did is on disk.
func (c *call) flush() error { return c.s.o.Book.Flush(c.r.Context()) }
