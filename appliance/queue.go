package appliance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/scenarios"
)

// linesInFlight is how many batches of lines may wait; sources are held back
// beyond it, so no line is dropped. None does: the position of a batch is saved
// before it is offered, so a crash loses what waits. One batch is being worked on
// then, and one is held by each source.
const linesInFlight = 0

const (
	// concludedAtOnce bounds for how many conclusions the disk is awaited together.
	concludedAtOnce = 64
	// diskPatience is how long it is awaited.
	diskPatience = 2 * time.Second
)

// queue carries lines and finished requests to the workers. Lines wait for room,
// requests do not: what finds the queue full is dropped and counted. Overflows that
// no request could wait for have a lane and a worker of their own: other machines
// may be asked about them, which holds up no requests there, and no flood of requests
// takes their room.
type queue struct {
	st      *state
	lines   chan []event.Line
	visits  chan finished
	over    chan finished
	stop    chan struct{} // closed: workers end when they find nothing to do
	done    chan struct{} // closed: no worker is left
	stopped atomic.Bool   // nothing more is offered
	late    atomic.Bool   // time ran out: workers drop what is left
	ended   atomic.Bool   // workers are gone
	workers sync.WaitGroup
}

// finished is a request whose response is known, or what one overflowed when it
// could not wait for the conclusion.
type finished struct {
	live  *live
	event *event.Event // nil with over
	whole bool         // no scenario has seen it yet
	over  []*scenarios.Overflow
	// done is called once: with true when what overflowed is recorded for good or there
	// will be nothing to record, with false when it is not; nil: nobody waits for that.
	done func(recorded bool)
}

func newQueue(st *state, l LimitConfig) *queue {
	q := &queue{st: st, lines: make(chan []event.Line, linesInFlight),
		visits: make(chan finished, l.Queue), over: make(chan finished, l.Queue), stop: make(chan struct{}), done: make(chan struct{})}
	// One worker takes lines, so that those of a source keep their order.
	q.workers.Add(2 + l.Workers)
	go q.work(q.lines, nil)
	go q.work(nil, q.over)
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
	lane := q.visits
	if f.event == nil {
		lane = q.over
	}
	if !q.stopped.Load() {
		select {
		case lane <- f:
			if q.ended.Load() {
				q.sweep() // it came too late, and nobody else would count it
			}
			return
		default:
		}
	}
	q.drop(f)
}

func (q *queue) drop(f finished) {
	q.st.owner.counters.dropped.Add(1)
	f.live.engine.Done(f.event)
	if f.done != nil {
		f.done(false)
	}
}

// sweep drops what nobody will take any more.
func (q *queue) sweep() {
	for {
		select {
		case f := <-q.visits:
			q.drop(f)
		case f := <-q.over:
			q.drop(f)
		case batch := <-q.lines:
			q.st.owner.counters.dropped.Add(int64(len(batch)))
		default:
			return
		}
	}
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
		if q.late.Load() {
			q.st.owner.counters.dropped.Add(int64(len(batch) - i))
			return
		}
		q.line(l, batch[i])
	}
}

func (q *queue) line(l *live, line event.Line) {
	defer q.survive()
	l.engine.Line(line)
}

func (q *queue) observe(f finished) {
	defer q.survive()
	if q.late.Load() {
		q.drop(f)
		return
	}
	if f.event == nil {
		q.conclude(q.more(f))
		return
	}
	e := f.live.engine
	if !f.whole || e.Enrich(f.event) {
		e.Respond(f.event, f.whole)
	}
	e.Done(f.event)
}

// more takes what waits to be concluded beside f, for which the disk is awaited once.
func (q *queue) more(f finished) []finished {
	batch := []finished{f}
	for f.done != nil && len(batch) < concludedAtOnce {
		select {
		case next := <-q.over:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// conclude makes alerts of what overflowed. Those who wait for that are told when it
// is on disk; if the disk fails they find somebody else.
func (q *queue) conclude(batch []finished) {
	var done []func(bool)
	for _, f := range batch {
		switch recorded := q.concluded(f); {
		case f.done == nil:
		case recorded:
			done = append(done, f.done)
		default:
			f.done(false)
		}
	}
	if len(done) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), diskPatience)
	defer cancel()
	durable := q.st.book.Flush(ctx) == nil
	for _, tell := range done {
		tell(durable)
	}
}

// concluded returns false if somebody else may conclude it. What brings a fault to
// light would do so wherever it was taken up: it is done with.
func (q *queue) concluded(f finished) (done bool) {
	done = true
	defer q.survive()
	for _, o := range f.over {
		done = f.live.engine.Conclude(o) && done
	}
	return done
}

// survive keeps a fault that one event brings to light from taking the web server
// down with it.
func (q *queue) survive() {
	if p := recover(); p != nil {
		q.st.owner.fault(p)
	}
}

// fault tells of a panic.
func (a *Appliance) fault(panicked any) {
	a.counters.panics.Add(1)
	a.logger().Error("detection panicked; one event is lost", zap.Any("panic", panicked), zap.Stack("stack"))
}

// drain has the workers finish what is queued, until ctx ends: the rest is dropped.
func (q *queue) drain(ctx context.Context) error {
	q.stopped.Store(true)
	close(q.stop)
	go func() {
		q.workers.Wait()
		close(q.done)
	}()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		q.late.Store(true)
		return fmt.Errorf("finishing queued events: %w", ctx.Err())
	}
}

// await waits for the workers after drain, and counts what they left.
func (q *queue) await() {
	<-q.done
	q.ended.Store(true)
	q.sweep()
}
