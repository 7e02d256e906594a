package notify

import (
	"strings"
	"sync"
	"time"
)

const (
	maxWaiting = 1000     // alerts of one receiver
	maxBytes   = 16 << 20 // of them
	maxGroup   = 100      // alerts in a message that group_by made
	digestRest = time.Minute
)

// rule is how alerts become messages.
type rule struct {
	wait      time.Duration
	threshold int
	by        []string
	rate      int // messages in per; 0: as many as come
	per       time.Duration
	digests   bool // the receiver can be told of alerts without a message of their own
}

// chunk is how many alerts go into one message. CrowdSec compatible: one by one
// where there is no threshold, except that a group of ours is a message.
func (r *rule) chunk() int {
	switch {
	case r.threshold > 0:
		return r.threshold
	case len(r.by) > 0:
		return maxGroup
	}
	return 1
}

// key is the group of an alert.
func (r *rule) key(a *Alert) string {
	if len(r.by) == 0 {
		return ""
	}
	parts := make([]string, 0, len(r.by))
	for _, by := range r.by {
		parts = append(parts, part(by, a))
	}
	return strings.Join(parts, "\x00")
}

func part(by string, a *Alert) string {
	switch by {
	case "as":
		return a.Source.AsNumber
	case "country":
		return a.Source.Cn
	case "machine":
		return a.MachineID
	case "range":
		if a.Source.Range != "" {
			return a.Source.Range
		}
		return a.Source.Value
	case "scenario":
		return a.Scenario
	case "site":
		return a.Site
	}
	return a.Source.Scope + ":" + a.Source.Value
}

// message is what goes out at once: alerts, or a digest.
type message struct {
	alerts []*Alert
	digest *Digest
	tally  tally // what the digest was made of
}

// group is alerts that wait for each other.
type group struct {
	key    string
	first  time.Time
	alerts []*Alert
}

// queue is what waits for one receiver, bounded in number and bytes. It is safe for
// concurrent use, and nothing in it waits or does more than move pointers.
type queue struct {
	name string
	poke chan struct{} // there may be something to do

	mu      sync.Mutex
	groups  []*group // by their first alerts
	ready   [][]*Alert
	count   int // alerts in groups, in ready and under way
	bytes   int
	window  window
	tally   tally
	rest    time.Time // no digest before
	full    bool      // what came last was dropped
	closing bool
}

func newQueue(name string) *queue { return &queue{name: name, poke: make(chan struct{}, 1)} }

// verdict is what became of an alert that was added.
type verdict struct{ kept, filled bool }

// add takes an alert, or drops it where there is no room. filled: it is the first to be dropped.
func (q *queue) add(r *rule, a *Alert, now time.Time) verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || q.count >= maxWaiting || q.bytes+a.size() > maxBytes {
		v := verdict{filled: !q.full && !q.closing}
		q.full = true
		q.untold(r, a, now, true)
		return v
	}
	q.full = false
	q.count++
	q.bytes += a.size()
	g := q.group(r.key(a), now)
	g.alerts = append(g.alerts, a)
	if r.wait == 0 && r.threshold == 0 || r.threshold > 0 && len(g.alerts) >= r.threshold {
		q.due(r, g)
	}
	q.wake()
	return verdict{kept: true}
}

// wake makes the receiver look at the queue.
func (q *queue) wake() {
	select {
	case q.poke <- struct{}{}:
	default:
	}
}

// group finds the one of a key. They are few: at most as many as alerts wait.
func (q *queue) group(key string, now time.Time) *group {
	for _, g := range q.groups {
		if g.key == key {
			return g
		}
	}
	g := &group{key: key, first: now}
	q.groups = append(q.groups, g)
	return g
}

// due cuts a group into messages.
func (q *queue) due(r *rule, g *group) {
	for i, other := range q.groups {
		if other == g {
			q.groups = append(q.groups[:i:i], q.groups[i+1:]...)
			break
		}
	}
	for n := r.chunk(); len(g.alerts) > 0; {
		n = min(n, len(g.alerts))
		q.ready = append(q.ready, g.alerts[:n:n])
		g.alerts = g.alerts[n:]
	}
}

// untold counts an alert that gets no message of its own.
func (q *queue) untold(r *rule, a *Alert, now time.Time, dropped bool) {
	if r.digests {
		q.tally.add(a, now, dropped)
		q.wake()
	}
}

// turn is what a receiver does next: send, or wait until, or for as long as nothing
// comes where that is zero, or end. digested alerts have gone into the tally.
type turn struct {
	message  *message
	until    time.Time
	end      bool
	digested int
}

// next decides it.
func (q *queue) next(r *rule, now time.Time) turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	var t turn
	for i := 0; i < len(q.groups); {
		g := q.groups[i]
		if at := g.first.Add(r.wait); q.closing || len(g.alerts) > 0 && r.wait > 0 && !at.After(now) {
			q.due(r, g)
			continue
		} else if r.wait > 0 {
			t.sooner(at)
		}
		i++
	}
	free := q.window.free(r.rate, r.per, now)
	if free.After(now) {
		t.digested = q.toTally(r, now)
		if q.tally.total > 0 && !q.closing {
			t.sooner(free)
		}
		t.end = q.closing
		return t
	}
	t.message = q.message(r, now, &t)
	if t.message != nil {
		q.window.take(r.rate, now)
	}
	t.end = q.closing && t.message == nil
	return t
}

func (t *turn) sooner(at time.Time) {
	if t.until.IsZero() || at.Before(t.until) {
		t.until = at
	}
}

// message takes the next one. With a rate the digest goes first, since under a flood
// there would never be time for it; without one it goes when all else is out.
func (q *queue) message(r *rule, now time.Time, t *turn) *message {
	digest := q.tally.total > 0 && r.digests && (r.rate > 0 || len(q.ready) == 0)
	if digest && !q.closing && q.rest.After(now) {
		digest = false
		t.sooner(q.rest)
	}
	if digest {
		m := &message{tally: q.tally}
		m.digest = q.tally.digest(q.name)
		return m
	}
	if len(q.ready) == 0 {
		return nil
	}
	m := &message{alerts: q.ready[0]}
	q.ready = q.ready[1:]
	return m
}

// toTally moves what is ready to the tally.
func (q *queue) toTally(r *rule, now time.Time) int {
	n := 0
	for _, alerts := range q.ready {
		for _, a := range alerts {
			q.release(a)
			q.untold(r, a, now, false)
			n++
		}
	}
	q.ready = nil
	return n
}

func (q *queue) release(a *Alert) {
	q.count--
	q.bytes -= a.size()
}

// done ends a message: what failed is told of in a digest, and a digest that failed
// in the next, not before a minute has passed.
func (q *queue) done(r *rule, m *message, now time.Time, sent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range m.alerts {
		q.release(a)
		if !sent {
			q.untold(r, a, now, true)
		}
	}
	if !sent {
		q.rest = now.Add(digestRest)
		q.tally.merge(&m.tally)
	}
}

// close makes all that waits due; nothing more is taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closing = true
	q.wake()
}

// waiting is how many alerts wait, and how many a digest would tell of.
func (q *queue) waiting() (alerts, untold int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.tally.total
}
