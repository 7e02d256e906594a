package decisions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/store"
)

const (
	maxQueueOps   = 200_000
	maxQueueBytes = 256 << 20
	maxGroup      = 20_000 // operations in one transaction
	retryAfter    = time.Second
)

// op is one write of the database; a nil value deletes.
type op struct {
	bucket, key string
	value       []byte
	done        func() // called once it is durable; may be nil
}

// writer brings operations to disk in their order, grouped: while one group is
// synced the next one gathers. One goroutine; close stops and awaits it.
type writer struct {
	db  *store.DB
	log *zap.Logger

	mu      sync.Mutex
	queue   []op
	bytes   int
	added   uint64
	written uint64
	closed  bool
	err     error         // of the latest attempt
	wake    chan struct{} // for the goroutine, capacity 1
	turn    chan struct{} // closed and replaced when something was written or failed

	blocked, failures atomic.Int64
	closing, ended    chan struct{}
}

func newWriter(db *store.DB, log *zap.Logger) *writer {
	w := &writer{
		db: db, log: log,
		wake: make(chan struct{}, 1), turn: make(chan struct{}),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go w.run()
	return w
}

// room waits until the queue has place again. Whoever calls must hold nothing
// that others need.
func (w *writer) room() error { return w.below(1, func() { w.blocked.Add(1) }) }

// spare waits until the queue is half empty, so that others find place: for those
// that write much and have time.
func (w *writer) spare() error { return w.below(2, func() {}) }

// below waits until no more than one part in so many of the queue is in use; waits is
// called if it has to.
func (w *writer) below(part int, waits func()) error {
	waited := false
	for {
		w.mu.Lock()
		closed, full, turn := w.closed, len(w.queue) >= maxQueueOps/part || w.bytes >= maxQueueBytes/part, w.turn
		w.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case !full:
			return nil
		case !waited:
			waited = true
			waits()
		}
		select {
		case <-turn:
		case <-w.ended:
		}
	}
}

// free reports whether there is place, and some more.
func (w *writer) free() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed && len(w.queue) < maxQueueOps*3/4 && w.bytes < maxQueueBytes*3/4
}

// watch returns a channel that is closed at the end of the next attempt to write.
func (w *writer) watch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turn
}

// await waits for the end of an attempt to write, and returns what was wrong.
func (w *writer) await(turn <-chan struct{}) error {
	select {
	case <-turn:
	case <-w.ended:
		return ErrClosed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// add queues operations; it never waits (see room).
func (w *writer) add(ops ...op) {
	if len(ops) == 0 {
		return
	}
	w.mu.Lock()
	w.queue = append(w.queue, ops...)
	w.added += uint64(len(ops))
	for i := range ops {
		w.bytes += len(ops[i].key) + len(ops[i].value)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// flush waits until all that was queued before is durable. A failing disk is
// tried again until ctx ends; then the error says what was wrong with it.
func (w *writer) flush(ctx context.Context) error {
	w.mu.Lock()
	target := w.added
	w.mu.Unlock()
	for {
		w.mu.Lock()
		done, err, turn := w.written >= target, w.err, w.turn
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-turn:
		case <-w.ended:
			w.mu.Lock()
			done, err = w.written >= target, w.err
			w.mu.Unlock()
			if done {
				return nil
			}
			return errors.Join(fmt.Errorf("writing the journal: %w", ErrClosed), err)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("writing the journal: %w", ctx.Err()), err)
		}
	}
}

// close writes what is left, trying twice, and ends the goroutine. Call it once.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.closing)
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.queue); n > 0 {
		return fmt.Errorf("writing the journal: %d changes are lost: %w", n, w.err)
	}
	return nil
}

func (w *writer) run() {
	defer close(w.ended)
	retry := time.NewTimer(retryAfter)
	retry.Stop()
	defer retry.Stop()
	last := false
	for {
		ok, closed := w.writeGroup()
		switch {
		case ok: // there may be more
		case w.idle() && closed:
			return
		case w.idle():
			select {
			case <-w.wake:
			case <-w.closing:
			}
		case closed && last:
			return
		case closed:
			last = true
		default:
			retry.Reset(retryAfter)
			select {
			case <-retry.C:
			case <-w.closing:
			}
		}
	}
}

func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

// writeGroup writes the head of the queue; ok is false when there was nothing or
// it failed.
func (w *writer) writeGroup() (ok, closed bool) {
	w.mu.Lock()
	group := w.queue[:min(len(w.queue), maxGroup)]
	closed = w.closed
	w.mu.Unlock()
	if len(group) == 0 {
		return false, closed
	}
	err := write(w.db, group...)
	if err != nil {
		w.report(err)
	} else {
		for i := range group {
			if group[i].done != nil {
				group[i].done()
			}
		}
	}
	w.settle(group, err)
	return err == nil, closed
}

// report logs the first of a row of failures.
func (w *writer) report(err error) {
	w.failures.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.log.Error("journal not written, trying again every second", zap.Error(err))
	}
}

// write brings operations to disk at once, all or none.
func write(db *store.DB, ops ...op) error {
	return db.Update(func(tx *store.Tx) error {
		for i := range ops {
			if err := ops[i].apply(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *op) apply(tx *store.Tx) error {
	if o.value == nil {
		return tx.Delete(o.bucket, o.key)
	}
	return tx.Put(o.bucket, o.key, o.value)
}

// settle takes a written group off the queue and lets those who wait look again.
func (w *writer) settle(group []op, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	if err == nil {
		for i := range group {
			w.bytes -= len(group[i].key) + len(group[i].value)
		}
		w.written += uint64(len(group))
		clear(group)
		w.queue = w.queue[len(group):]
		if len(w.queue) == 0 {
			w.queue = nil
		}
	}
	close(w.turn)
	w.turn = make(chan struct{})
}
