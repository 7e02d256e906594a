package replay

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/scenarios"
)

// Session is a set of rules with an engine and empty buckets.
type Session struct {
	// Problems are what is wrong with items of the Hub; they do not run.
	Problems []*hub.Problem
	// Results is what passed so far, nil unless the choice said Record.
	Results *hub.Results

	engine   *engine.Engine
	buckets  *scenarios.Memory
	counters engine.Counters
	faithful bool
	history  history
	alert    func(*event.Alert)
}

// Open compiles what is chosen.
func Open(c Choice, log *zap.Logger) (*Session, error) {
	items, err := c.load()
	if err != nil {
		return nil, err
	}
	return items.open(log, nil, nil)
}

// open compiles the items. Observe and poured are told of what passes; both may be
// nil.
func (i *items) open(log *zap.Logger, observe *engine.Observer, poured func(scenarios.Drop, string, scenarios.Level)) (*Session, error) {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Session{faithful: i.faithful, history: history{seen: map[string][]time.Time{}}}
	rules, err := i.content.Compile(hub.CompileOptions{Logger: log, Now: time.Now, Clock: s.history.clock,
		Decisions: &s.history, Replay: true, Plain: i.plain, Strict: i.faithful})
	more, err := sift(i.catalogue, err, i.named)
	if err != nil {
		return nil, err
	}
	s.Problems = append(i.problems, more...)
	profiles, err := loadProfiles(i.profiles, rules.Env)
	if err != nil {
		return nil, err
	}
	if i.record {
		s.Results, observe = rules.Record()
	}
	s.buckets = scenarios.NewMemory(scenarios.MemoryOptions{Now: time.Now, Overflow: s.overflow})
	s.buckets.Use(rules.Rules)
	s.buckets.UseContexts(rules.Contexts)
	var buckets scenarios.Buckets = s.buckets
	if poured != nil {
		buckets = &watched{s.buckets, poured, s.overflow}
	}
	s.engine = engine.New(engine.Options{Pipeline: rules.Pipeline, Postoverflows: rules.Postoverflows, Rules: rules.Rules,
		Buckets: buckets, Profiles: profiles, Counters: &s.counters, Logger: log, Now: time.Now, Machine: "replay",
		Replay: true, Faithful: i.faithful, Observe: observe, Watch: func(a *event.Alert, ds []decisions.Decision, _ []decisions.Match) {
			s.history.add(a, ds)
			if s.alert != nil {
				s.alert(a)
			}
		}})
	return s, nil
}

func (s *Session) overflow(o *scenarios.Overflow) {
	s.history.now = o.At
	s.engine.Overflow(o)
}

// Result is what a replay amounted to.
type Result struct {
	Lines       int64         `json:"lines"`
	TooLong     int64         `json:"too_long"` // lines that were skipped for it
	Unparsed    int64         `json:"unparsed"`
	Whitelisted int64         `json:"whitelisted"`
	Untimed     int64         `json:"untimed"`
	Poured      int64         `json:"poured"`
	Alerts      int64         `json:"alerts"`
	Elapsed     time.Duration `json:"elapsed"`
}

// Progress is how far a replay is.
type Progress struct {
	Lines, Bytes int64 // read so far
	Total        int64 // bytes of all inputs, 0 where one cannot tell
}

// Options say what to do with what a replay finds. All may be left out.
type Options struct {
	Alert    func(*event.Alert)
	Progress func(Progress) // called a few times for each MiB
}

// Run reads the inputs side by side, in the order of their events' time, on the
// logs' own clock. Within one input lines keep their order; one that is older
// than the line before it counts at its own time, right after that one. A line
// without a time is not counted. Memory does not grow with the length of inputs.
func (s *Session) Run(ctx context.Context, inputs []Input, o Options) (Result, error) {
	begin := time.Now()
	s.alert = o.Alert
	m := merge{reader: s.engine}
	if !s.faithful { // there, what is over goes when its next event comes, as in CrowdSec
		m.took = (&present{settle: s.buckets.Settle}).took
	}
	if o.Progress != nil {
		p := Progress{Total: Size(inputs)}
		m.seen = func(lines int, bytes int64) {
			p.Lines, p.Bytes = p.Lines+int64(lines), p.Bytes+bytes
			o.Progress(p)
		}
	}
	if err := m.run(ctx, inputs); err != nil {
		return Result{}, err
	}
	s.buckets.Flush()
	if s.Results != nil {
		s.Results.Sort()
	}
	c := &s.counters
	return Result{Lines: c.Lines.Load(), TooLong: m.tooLong, Unparsed: c.Unparsed.Load(), Whitelisted: c.Whitelisted.Load(),
		Untimed: c.Untimed.Load(), Poured: c.Poured.Load(), Alerts: c.Alerts.Load(), Elapsed: time.Since(begin)}, nil
}
