package firewall

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// reportQueue bounds the events that wait for Options.Report.
const reportQueue = 256

// loop is the goroutine that checks the table and delivers reports.
type loop struct {
	cancel  context.CancelFunc
	done    chan struct{}
	wake    chan struct{}
	reports chan Event
}

func startLoop(t *Table) *loop {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loop{
		cancel:  cancel,
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		reports: make(chan Event, reportQueue),
	}
	go l.run(ctx, t)
	return l
}

// stop ends the goroutine and waits for it.
func (l *loop) stop() {
	l.cancel()
	<-l.done
}

// wakeUp asks for a check soon. It never blocks.
func (l *loop) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) run(ctx context.Context, t *Table) {
	defer close(l.done)
	tick := time.NewTicker(t.o.CheckEvery)
	defer tick.Stop()
	retry := time.NewTimer(0)
	if !retry.Stop() {
		<-retry.C
	}
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			l.deliverRest(t)
			return
		case e := <-l.reports:
			t.o.Report(e)
			continue
		case <-tick.C:
		case <-l.wake:
		case <-retry.C:
		}
		if wait := t.check(ctx); wait > 0 {
			retry.Reset(wait)
		}
	}
}

// deliverRest hands over the reports that are queued at the end.
func (l *loop) deliverRest(t *Table) {
	for {
		select {
		case e := <-l.reports:
			t.o.Report(e)
		default:
			return
		}
	}
}

// check compares the kernel with what was written and repairs what somebody
// broke. It returns how long to wait before it may repair again, 0 if there is
// nothing left to do.
func (t *Table) check(ctx context.Context) time.Duration {
	t.write.Lock()
	defer t.write.Unlock()
	t.mu.Lock()
	t.mirror.expire(t.o.Now().UnixNano())
	t.mu.Unlock()
	if t.kernel == nil || ctx.Err() != nil {
		return 0
	}
	if !t.dirty {
		d, err := t.kernel.verify(t.plan())
		if by := t.steps.since(t.o.Now()); err == nil && d.what == "" && by.Abs() > maxStep {
			d.what = fmt.Sprintf("the clock was set by %v: the ends of all entries moved", by.Round(time.Second))
		}
		if err != nil {
			t.failed(fmt.Errorf("checking the firewall table: %w", err))
			return 0
		}
		if d.what == "" {
			return 0
		}
		t.dirty = true
		t.report(Event{Kind: EventDrift, Text: d.what, By: d.by})
	}
	if wait := t.repairEvery - t.o.Now().Sub(t.lastRepair); wait > 0 && !t.lastRepair.IsZero() {
		return min(wait, t.repairEvery)
	}
	if err := t.rebuild(ctx); err != nil {
		return t.repairEvery
	}
	t.mu.Lock()
	t.stats.Repairs++
	t.mu.Unlock()
	t.report(Event{Kind: EventRepaired, Entries: len(t.mirror.entries), Text: "table inet " + t.kernel.name()})
	return 0
}

// maxStep is how far the clock may be set before all entries are written anew.
const maxStep = 5 * time.Second

// clockSteps notices that the clock was set, or stood still while the machine
// slept. Bans end at an instant of the clock, but the kernel counts down from
// when it was told, in a time of its own.
type clockSteps struct {
	clock, kernel time.Time
}

// take remembers that both agree now.
func (c *clockSteps) take(now time.Time) {
	c.clock, c.kernel = now.Round(0), time.Now() // Round(0) leaves the wall clock alone
}

// since returns by how much the clock went ahead of the kernel's.
func (c *clockSteps) since(now time.Time) time.Duration {
	return now.Round(0).Sub(c.clock) - time.Since(c.kernel)
}

// drift is what somebody else did to the table; no text means nothing.
type drift struct {
	what, by string
}

// report queues an event; a full queue drops and counts it.
func (t *Table) report(e Event) {
	if t.o.Report == nil || t.loop == nil {
		return
	}
	select {
	case t.loop.reports <- e:
	default:
		t.missed.Add(1)
	}
}

// reportWould tells what dry-run did not write.
func (t *Table) reportWould(changes iter.Seq[change]) {
	e := Event{Kind: EventWould, Entries: len(t.mirror.entries)}
	any := false
	for c := range changes {
		any = true
		switch c.op {
		case opAdd:
			e.Added++
		case opRemove:
			e.Removed++
		}
	}
	if any {
		t.report(e)
	}
}

// failed counts and reports an error of the kernel.
func (t *Table) failed(err error) {
	t.mu.Lock()
	t.stats.Errors++
	t.mu.Unlock()
	t.report(Event{Kind: EventFailed, Err: err})
}
