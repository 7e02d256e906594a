package logsources_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

// sink keeps what it is given.
type sink struct {
	mu    sync.Mutex
	lines []string
}

func (s *sink) Accept(_ context.Context, lines []event.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lines {
		s.lines = append(s.lines, l.Raw)
	}
	return nil
}

// script is a source that does what a function says.
type script struct {
	env logsources.Environment
	run func(ctx context.Context, env logsources.Environment, s logsources.Sink) error
}

func (s script) Run(ctx context.Context, to logsources.Sink) error { return s.run(ctx, s.env, to) }

func spec(key string, run func(context.Context, logsources.Environment, logsources.Sink) error) logsources.Spec {
	return logsources.Spec{Key: key, Name: "name of " + key, Type: "script",
		New: func(env logsources.Environment) (logsources.Source, error) { return script{env, run}, nil }}
}

func forever(ctx context.Context, env logsources.Environment, to logsources.Sink) error {
	if err := to.Accept(ctx, []event.Line{{Raw: "hello"}}); err != nil {
		return err
	}
	env.Counters.Lines.Add(1)
	env.Counters.LastLine.Store(env.Now().UnixNano())
	<-ctx.Done()
	return ctx.Err()
}

// eventually waits for cond; a minute is for machines that are busy.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func newSupervisor(t *testing.T, o logsources.Options) *logsources.Supervisor {
	o.BackOff, o.MaxBackOff = time.Millisecond, 4*time.Millisecond
	if o.Sink == nil {
		o.Sink = &sink{}
	}
	s := logsources.NewSupervisor(o)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestFailingSourcesDoNotStopOthers(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := newSupervisor(t, logsources.Options{Logger: zap.New(core)})
	s.Use([]logsources.Spec{
		spec("good", forever),
		{Key: "unmade", Name: "unmade", New: func(logsources.Environment) (logsources.Source, error) {
			return nil, errors.New("cannot be made")
		}},
		spec("ends", func(context.Context, logsources.Environment, logsources.Sink) error { return nil }),
		spec("panics", func(context.Context, logsources.Environment, logsources.Sink) error {
			var m map[string]int
			m["x"] = 1
			return nil
		}),
	})
	want := map[string]string{"unmade": "cannot be made", "ends": logsources.ErrEnded.Error(), "panics": "supervisor_test.go"}
	eventually(t, "three restarts of each", func() bool {
		n := 0
		for _, st := range s.Status() {
			if w := want[st.Key]; w != "" && st.Restarts >= 3 && strings.Contains(st.Error, w) {
				n++
			}
		}
		return n == len(want)
	})
	st := s.Status()
	if st[0].Key != "good" || st[0].State != logsources.Running || st[0].Lines != 1 || st[0].Error != "" || st[0].LastLineAge < 0 {
		t.Errorf("good source: %+v", st[0])
	}
	if st[1].LastLineAge != -1 || !st[1].LastLine.IsZero() || st[1].ErrorSince.IsZero() {
		t.Errorf("source without a line: %+v", st[1])
	}
	if n := logs.FilterMessage("source has trouble").Len(); n != 3 {
		t.Errorf("%d troubles logged, want one for each failing source: %v", n, logs.All())
	}
}

func TestUseKeepsStartsStops(t *testing.T) {
	var starts, active atomic.Int32
	counted := func(ctx context.Context, env logsources.Environment, to logsources.Sink) error {
		starts.Add(1)
		active.Add(1)
		defer active.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	}
	s := newSupervisor(t, logsources.Options{})
	s.Use([]logsources.Spec{spec("a", counted), spec("b", counted), spec("a", counted)})
	eventually(t, "two sources run", func() bool { return active.Load() == 2 })
	s.Use([]logsources.Spec{spec("b", counted), spec("c", counted)})
	eventually(t, "c runs, a does not", func() bool { return starts.Load() == 3 && active.Load() == 2 })
	var keys []string
	for _, st := range s.Status() {
		keys = append(keys, st.Key)
	}
	if got := strings.Join(keys, " "); got != "b c" {
		t.Errorf("sources %q, want b c", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := active.Load(); n != 0 {
		t.Errorf("%d sources run after Close", n)
	}
	s.Close()
	s.Use([]logsources.Spec{spec("d", counted)})
	if n := starts.Load(); n != 3 {
		t.Errorf("a source was started after Close")
	}
}

func TestSuccessorWaitsForPredecessor(t *testing.T) {
	release := make(chan struct{})
	var running, overlaps atomic.Int32
	slow := func(ctx context.Context, env logsources.Environment, to logsources.Sink) error {
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		<-ctx.Done()
		<-release
		running.Add(-1)
		return ctx.Err()
	}
	s := newSupervisor(t, logsources.Options{})
	s.Use([]logsources.Spec{spec("one", slow)})
	eventually(t, "first runs", func() bool { return running.Load() == 1 })
	s.Use([]logsources.Spec{spec("two", slow)}) // must not block
	if st := s.Status()[0]; st.Key != "two" || st.State != logsources.Waiting {
		t.Errorf("successor: %+v", st)
	}
	close(release)
	eventually(t, "second runs", func() bool { return s.Status()[0].State == logsources.Running })
	s.Close()
	if overlaps.Load() != 0 {
		t.Error("both ran at once")
	}
}

func TestReportIsLoggedOncePerChange(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := newSupervisor(t, logsources.Options{Logger: zap.New(core)})
	step := make(chan error)
	s.Use([]logsources.Spec{spec("r", func(ctx context.Context, env logsources.Environment, to logsources.Sink) error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case err := <-step:
				env.Report(err)
			}
		}
	})})
	for _, err := range []error{errors.New("x"), errors.New("x"), errors.New("y"), nil, nil, errors.New("y")} {
		step <- err
	}
	eventually(t, "last report", func() bool { return logs.Len() >= 4 })
	var got []string
	for _, l := range logs.All() {
		text, _ := l.ContextMap()["error"].(string)
		got = append(got, text)
	}
	if want := "x|y||y"; strings.Join(got, "|") != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	if st := s.Status()[0]; st.Error != "y" || st.State != logsources.Running {
		t.Errorf("status %+v", st)
	}
}

func TestOldErrorIsForgottenOnceSettled(t *testing.T) {
	var now atomic.Int64
	s := newSupervisor(t, logsources.Options{Now: func() time.Time { return time.Unix(1e9+now.Load(), 0) }})
	first := true
	s.Use([]logsources.Spec{spec("s", func(ctx context.Context, env logsources.Environment, to logsources.Sink) error {
		if first {
			first = false
			return errors.New("only once")
		}
		<-ctx.Done()
		return ctx.Err()
	})})
	eventually(t, "second run", func() bool { st := s.Status()[0]; return st.Restarts == 1 && st.State == logsources.Running })
	if st := s.Status()[0]; st.Error != "only once" {
		t.Errorf("error %q is gone already", st.Error)
	}
	now.Store(60)
	if st := s.Status()[0]; st.Error != "" {
		t.Errorf("error %q is still there", st.Error)
	}
}
