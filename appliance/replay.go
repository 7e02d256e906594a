package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/logsources/file"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// ReplayOptions say what to run over which logs.
type ReplayOptions struct {
	Files  []string
	Type   string            // label type of the lines: syslog, nginx, caddy…
	Labels map[string]string // further labels
	Config Config            // collections, scenarios, parsers and profiles count
	Alert  func(*event.Alert)
	// Progress is called now and then with how many lines were read; may be nil.
	Progress func(lines int64)
	Logger   *zap.Logger
}

// ReplayResult is what a replay amounted to.
type ReplayResult struct {
	Lines    int64         `json:"lines"`
	TooLong  int64         `json:"too_long"` // lines that were skipped for it
	Unparsed int64         `json:"unparsed"`
	Untimed  int64         `json:"untimed"`
	Poured   int64         `json:"poured"`
	Alerts   int64         `json:"alerts"`
	Elapsed  time.Duration `json:"elapsed"`
}

// progressEvery is how many lines go by between two calls of Progress.
const progressEvery = 10_000

// Replay runs the engine over logs, on the logs' own clock, and touches nothing
// else: no decision is made, no state is read or written.
func Replay(ctx context.Context, o ReplayOptions) (ReplayResult, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	begin := time.Now()
	e, counters, err := o.engine()
	if err != nil {
		return ReplayResult{}, err
	}
	labels := map[string]string{"type": o.Type}
	for k, v := range o.Labels {
		labels[k] = v
	}
	var n, tooLong int64
	for _, name := range o.Files {
		err := file.Read(ctx, name, labels, 0, func(l event.Line) error {
			e.Line(l)
			if n++; o.Progress != nil && n%progressEvery == 0 {
				o.Progress(n)
			}
			return ctx.Err()
		})
		if skipped, ok := errors.AsType[*file.SkippedError](err); ok {
			tooLong += int64(skipped.Lines)
		} else if err != nil {
			return ReplayResult{}, fmt.Errorf("replaying: %w", err)
		}
	}
	return ReplayResult{Lines: counters.Lines.Load(), TooLong: tooLong, Unparsed: counters.Unparsed.Load(),
		Untimed: counters.Untimed.Load(), Poured: counters.Poured.Load(), Alerts: counters.Alerts.Load(),
		Elapsed: time.Since(begin)}, nil
}

func (o ReplayOptions) engine() (*engine.Engine, *engine.Counters, error) {
	history := &replayHistory{seen: map[string][]time.Time{}}
	s, err := compile(o.Config, o.Logger, history, history.clock, parsers.Options{Logger: o.Logger, Now: time.Now})
	if err != nil {
		return nil, nil, err
	}
	counters := &engine.Counters{}
	limits := LimitConfig{}.withDefaults()
	var e *engine.Engine
	buckets := scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: limits.Buckets,
		SampleBytes: limits.SampleBytes, Now: time.Now, Overflow: func(ov *scenarios.Overflow) {
			history.now = ov.At
			e.Overflow(ov)
		}})
	buckets.Use(s.rules)
	e = engine.New(engine.Options{Pipeline: s.pipeline, Rules: s.rules, Buckets: buckets, Profiles: s.profiles,
		Counters: counters, Logger: o.Logger, Now: time.Now, Machine: "replay", Replay: true,
		Watch: func(a *event.Alert, ds []decisions.Decision) {
			history.add(a, ds)
			if o.Alert != nil {
				o.Alert(a)
			}
		}})
	return e, counters, nil
}

// replayHistory counts a replay's own decisions on the log's clock, so that
// profiles escalate as they would have.
type replayHistory struct {
	now  time.Time
	seen map[string][]time.Time
}

func (h *replayHistory) clock() time.Time { return h.now }

func (h *replayHistory) add(a *event.Alert, ds []decisions.Decision) {
	for _, d := range ds {
		h.seen[d.Value] = append(h.seen[d.Value], a.Stop)
		a.Decisions = append(a.Decisions, event.AlertDecision{Type: d.Type, Scope: d.Scope, Value: d.Value,
			Origin: d.Origin, Scenario: d.Scenario, Duration: d.Until.Sub(a.Stop).String(),
			Until: d.Until.UTC().Format(time.RFC3339), Simulated: d.Simulated})
	}
}

// Count implements expression.DecisionCounts.
func (h *replayHistory) Count(value string, since time.Time) int {
	n := 0
	for _, t := range h.seen[value] {
		if !t.Before(since) {
			n++
		}
	}
	return n
}

// Active implements expression.DecisionCounts; nothing is in force in a replay.
func (h *replayHistory) Active(string) (int, time.Duration) { return 0, 0 }

var _ expression.DecisionCounts = (*replayHistory)(nil)
