package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// CrowdSec compatible: how a message is tried again.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	maxTrying  = 5 * time.Minute // where max_retry is not given
	scatter    = 0.3

	maxRetryAfter = 2 * time.Minute // that a server may ask for
)

// permanentError is one that trying again does not help against.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// laterError is one of a server that says when to come again.
type laterError struct {
	error
	after time.Duration
}

func (e laterError) Unwrap() error { return e.error }

// worker is the goroutine of one receiver's name. What the name stands for may
// change under it; what waits stays.
type worker struct {
	name    string
	queue   *queue
	current atomic.Pointer[receiver]
	figures figures
	now     func() time.Time
	logger  *zap.Logger
	stop    context.CancelFunc
	ended   chan struct{}
}

// use changes what the name stands for, from the next try on.
func (w *worker) use(r *receiver) {
	if old := w.current.Load(); old != nil && old.print == r.print {
		return // and keeps its connections
	}
	w.current.Store(r)
	w.figures.note(func(s *Stats) { s.Name, s.Type = w.name, r.spec.Type })
	w.queue.wake()
}

func (w *worker) log() *zap.Logger {
	level, err := w.current.Load().spec.level()
	if err != nil || level <= zapcore.LevelOf(w.logger.Core()) {
		return w.logger // which is as quiet already, and must not be made louder
	}
	return w.logger.WithOptions(zap.IncreaseLevel(level))
}

// run sends until the queue is closed and empty, or ctx ends.
func (w *worker) run(ctx context.Context) {
	defer close(w.ended)
	used := w.current.Load()
	defer func() { used.sender.close() }()
	for ctx.Err() == nil {
		r := w.current.Load()
		if r != used {
			used.sender.close()
			used = r
		}
		t := w.queue.next(&r.rule, w.now())
		if t.digested > 0 {
			w.figures.note(func(s *Stats) { s.Digested += uint64(t.digested) })
		}
		switch {
		case t.end:
			w.leave()
			return
		case t.message != nil:
			w.deliver(ctx, t.message)
		default:
			w.rest(ctx, t.until)
		}
	}
	w.leave()
}

// leave counts what stays behind.
func (w *worker) leave() {
	w.queue.close()
	alerts, untold := w.queue.waiting()
	if alerts+untold == 0 {
		return
	}
	w.figures.note(func(s *Stats) { s.Dropped += uint64(alerts) })
	w.log().Warn("receiver ends with alerts that were not sent", zap.Int("alerts", alerts), zap.Int("untold", untold))
}

// rest waits for the queue, and no longer than until an instant that is not zero.
func (w *worker) rest(ctx context.Context, until time.Time) {
	var over <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(max(until.Sub(w.now()), time.Millisecond))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-w.queue.poke:
	case <-over:
	}
}

// deliver renders a message and sends it, however often that must be tried.
func (w *worker) deliver(ctx context.Context, m *message) {
	r := w.current.Load()
	text, err := r.text(m)
	if err == nil && strings.TrimSpace(text) == "" {
		w.figures.note(func(s *Stats) { s.Empty++ })
		w.queue.done(&r.rule, m, w.now(), true)
		return
	}
	if err == nil {
		err = w.try(ctx, text)
	}
	w.queue.done(&r.rule, m, w.now(), err == nil)
	if err == nil {
		w.figures.sent(w.now())
		w.log().Debug("sent", zap.Int("alerts", len(m.alerts)), zap.Bool("digest", m.digest != nil))
		return
	}
	w.figures.failed(err, w.now())
	w.log().Warn("notification failed", zap.Int("alerts", len(m.alerts)), zap.Bool("digest", m.digest != nil), zap.Error(err))
}

// try sends a text until it went, must not be tried again, or was tried enough. A
// receiver that is replaced meanwhile gets the tries that are left.
func (w *worker) try(ctx context.Context, text string) error {
	begun := w.now()
	for tries, pause := 1, firstPause; ; tries, pause = tries+1, min(2*pause, maxPause) {
		r := w.current.Load()
		err := r.send(ctx, text)
		if err == nil || ctx.Err() != nil || errors.As(err, new(permanentError)) {
			return err
		}
		wait := time.Duration(float64(pause) * (1 - scatter + 2*scatter*rand.Float64()))
		var later laterError
		if errors.As(err, &later) {
			wait = max(wait, min(later.after, maxRetryAfter))
		}
		if most := r.spec.MaxRetry; most > 0 && tries > most || most == 0 && w.now().Add(wait).Sub(begun) > maxTrying {
			return err
		}
		w.figures.note(func(s *Stats) { s.Retried, s.LastError, s.LastErrorAt = s.Retried+1, err.Error(), w.now() })
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
