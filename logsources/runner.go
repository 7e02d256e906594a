package logsources

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// settled is how long a run has to last until the error that ended the run
// before is history.
const settled = 5 * time.Second

// runner keeps one source running until it is stopped.
type runner struct {
	spec     Spec
	opts     Options
	counters *Counters
	logger   *zap.Logger
	cancel   context.CancelFunc
	done     chan struct{}

	mu       sync.Mutex
	state    State
	started  time.Time
	next     time.Time
	ended    error // why the run before this one ended
	text     string
	since    time.Time
	lastText string // what was logged last, so that a change is logged once
}

// start runs spec in a goroutine of its own once all of after have ended: a
// successor must not read what its predecessor is still reading.
func start(spec Spec, o Options, after []*runner) *runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{
		spec: spec, opts: o, counters: &Counters{}, cancel: cancel,
		logger: o.Logger.With(zap.String("source", spec.Name), zap.String("type", spec.Type)),
		done:   make(chan struct{}), state: Waiting,
	}
	go func() {
		defer close(r.done)
		for _, p := range after {
			<-p.done
		}
		r.loop(ctx)
	}()
	return r
}

func (r *runner) loop(ctx context.Context) {
	defer r.setState(Stopped)
	wait := r.opts.BackOff
	for ctx.Err() == nil {
		begin := r.opts.Now()
		err := r.once(ctx, begin)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = ErrEnded
		}
		if r.opts.Now().Sub(begin) > r.opts.MaxBackOff {
			wait = r.opts.BackOff
		}
		r.fail(err, wait)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		r.counters.Restarts.Add(1)
		wait = min(2*wait, r.opts.MaxBackOff)
	}
}

// once makes a source and runs it to its end. A panic in a source is an error of
// that source: the other ones and the proxy around them go on.
func (r *runner) once(ctx context.Context, now time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("source panicked at %s: %v", panicPlace(), p)
		}
	}()
	src, err := r.spec.New(Environment{
		Positions: r.opts.Positions, Logger: r.logger, Now: r.opts.Now,
		Counters: r.counters, Report: r.report,
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.state, r.started, r.next = Running, now, time.Time{}
	r.mu.Unlock()
	return src.Run(ctx, r.opts.Sink)
}

// panicPlace names the line that panicked; to be called from a deferred function.
func panicPlace() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

func (r *runner) setState(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

func (r *runner) fail(err error, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opts.Now()
	r.state, r.ended, r.next = Failing, err, now.Add(wait)
	r.counters.Files.Store(0)
	r.note(err.Error(), now)
}

// report is Environment.Report of this source.
func (r *runner) report(trouble error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != Running {
		return
	}
	r.ended = nil
	text := ""
	if trouble != nil {
		text = trouble.Error()
	}
	r.note(text, r.opts.Now())
}

// note remembers text as the present trouble and logs it if it is a new one.
func (r *runner) note(text string, now time.Time) {
	if text != r.text {
		r.text, r.since = text, now
	}
	if text == r.lastText {
		return
	}
	r.lastText = text
	if text == "" {
		r.logger.Info("source is well again")
		return
	}
	r.logger.Warn("source has trouble", zap.String("error", text))
}

func (r *runner) status() Status {
	now := r.opts.Now()
	r.mu.Lock()
	if r.state == Running && r.ended != nil && now.Sub(r.started) > settled {
		r.ended = nil
		r.note("", now)
	}
	s := Status{
		Key: r.spec.Key, Name: r.spec.Name, Type: r.spec.Type, State: r.state,
		Error: r.text, Started: r.started, NextStart: r.next,
	}
	if s.Error != "" {
		s.ErrorSince = r.since
	}
	r.mu.Unlock()
	r.counters.status(&s, now)
	return s
}
