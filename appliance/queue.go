package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

// linesInFlight is how many batches of lines may wait; sources are held back
// beyond it, so no line is dropped.
const linesInFlight = 4

// queue carries lines and finished requests to the workers. Lines wait for room,
// requests do not: what finds the queue full is dropped and counted.
type queue struct {
	st      *state
	lines   chan []event.Line
	visits  chan finished
	stop    chan struct{} // closed: workers end when they find nothing to do
	stopped atomic.Bool
	workers sync.WaitGroup
}

// finished is a request whose response is known.
type finished struct {
	live  *live
	event *event.Event
	whole bool // no scenario has seen it yet
}

func newQueue(st *state, l LimitConfig) *queue {
	q := &queue{st: st, lines: make(chan []event.Line, linesInFlight),
		visits: make(chan finished, l.Queue), stop: make(chan struct{})}
	// One worker takes lines, so that those of a source keep their order.
	q.workers.Add(1 + l.Workers)
	go q.work(q.lines, nil)
	for range l.Workers {
		go q.work(nil, q.visits)
	}
	return q
}

// Accept implements logsources.Sink. A batch that found no room when ctx ended was
// not taken, and its source may offer it again at the next start.
func (q *queue) Accept(ctx context.Context, lines []event.Line) error {
	select {
	case q.lines <- lines:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for room: %w: %w", logsources.ErrRefused, ctx.Err())
	}
}

// offer queues a finished request, or drops it.
func (q *queue) offer(f finished) {
	if !q.stopped.Load() {
		select {
		case q.visits <- f:
			return
		default:
		}
	}
	q.st.owner.counters.dropped.Add(1)
	f.live.engine.Done(f.event)
}

func (q *queue) work(lines <-chan []event.Line, visits <-chan finished) {
	defer q.workers.Done()
	for {
		select {
		case batch := <-lines:
			q.take(batch)
		case f := <-visits:
			q.observe(f)
		case <-q.stop:
			// Finish what is there: select has no order.
			select {
			case batch := <-lines:
				q.take(batch)
			case f := <-visits:
				q.observe(f)
			default:
				return
			}
		}
	}
}

func (q *queue) take(batch []event.Line) {
	l := q.st.owner.live.Load()
	if l == nil {
		q.st.owner.counters.dropped.Add(int64(len(batch)))
		return
	}
	for i := range batch {
		l.engine.Line(batch[i])
	}
}

func (q *queue) observe(f finished) {
	e := f.live.engine
	if !f.whole || e.Enrich(f.event) {
		e.Respond(f.event, f.whole)
	}
	e.Done(f.event)
}

// drain stops the workers once nothing is left to do, or when ctx ends.
func (q *queue) drain(ctx context.Context) error {
	q.stopped.Store(true)
	close(q.stop)
	done := make(chan struct{})
	go func() {
		q.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("finishing queued events: time ran out")
	}
}
