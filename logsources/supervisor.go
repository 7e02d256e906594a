package logsources

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// Options configures a Supervisor.
type Options struct {
	Sink      Sink
	Positions Positions // nil: forgotten with the process
	Logger    *zap.Logger
	Now       func() time.Time

	// BackOff is the pause before the first restart of a source that ended,
	// doubled each time up to MaxBackOff; a run longer than MaxBackOff starts
	// over. Defaults: 1 s and 1 min.
	BackOff, MaxBackOff time.Duration
}

// Supervisor keeps a set of sources running. One that cannot start or ends is
// started again later and never stops the others.
type Supervisor struct {
	opts Options

	mu      sync.Mutex
	closed  bool
	running []*runner // in the order of the specs
	leaving []*runner // told to stop
}

// NewSupervisor returns a Supervisor without sources.
func NewSupervisor(o Options) *Supervisor {
	if o.Positions == nil {
		o.Positions = newVolatile()
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BackOff <= 0 {
		o.BackOff = time.Second
	}
	if o.MaxBackOff <= 0 {
		o.MaxBackOff = time.Minute
	}
	o.MaxBackOff = max(o.MaxBackOff, o.BackOff)
	return &Supervisor{opts: o}
}

// Use makes specs the sources that run: those whose Key runs already go on
// undisturbed, new ones start, the others stop. It returns at once; sources that
// start wait until the ones that stop have ended, because both may read the same
// file. Of several specs with one Key the first is used.
func (s *Supervisor) Use(specs []Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	old := make(map[string]*runner, len(s.running))
	for _, r := range s.running {
		old[r.spec.Key] = r
	}
	wanted := make(map[string]bool, len(specs))
	for _, sp := range specs {
		wanted[sp.Key] = true
	}
	s.prune()
	for _, r := range s.running {
		if !wanted[r.spec.Key] {
			r.cancel()
			s.leaving = append(s.leaving, r)
		}
	}
	s.running = nil
	for _, sp := range specs {
		if !wanted[sp.Key] {
			continue // a second one with this key
		}
		wanted[sp.Key] = false
		r := old[sp.Key]
		if r == nil {
			r = start(sp, s.opts, append([]*runner(nil), s.leaving...))
		}
		s.running = append(s.running, r)
	}
}

// prune forgets sources that have ended.
func (s *Supervisor) prune() {
	kept := s.leaving[:0]
	for _, r := range s.leaving {
		select {
		case <-r.done:
		default:
			kept = append(kept, r)
		}
	}
	clear(s.leaving[len(kept):])
	s.leaving = kept
}

// Status tells how the sources are, in the order they were given to Use.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	running := append([]*runner(nil), s.running...)
	s.mu.Unlock()
	list := make([]Status, len(running))
	for i, r := range running {
		list[i] = r.status()
	}
	return list
}

// Close stops all sources and waits for them. Further calls wait as well.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, r := range s.running {
		r.cancel()
	}
	all := append(append([]*runner(nil), s.running...), s.leaving...)
	s.mu.Unlock()
	for _, r := range all {
		<-r.done
	}
	return nil
}
