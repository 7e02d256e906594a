package engine

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// Overflow is Conclude for the buckets of one node: it is their sink, and they call
// it without holding a lock.
func (e *Engine) Overflow(o *scenarios.Overflow) { e.Conclude(o) }

// Conclude turns an overflow into alerts and decisions, in the order of
// CrowdSec's output: postoverflows, reprocessing, profiles, journal. It returns
// false only if the journal was closed before all was recorded: then somebody else
// may conclude it, and what was recorded is known by its UUID.
func (e *Engine) Conclude(o *scenarios.Overflow) (done bool) {
	e.Counters.Overflows.Add(1)
	ev, err := o.Event()
	if err != nil {
		e.Counters.Sourceless.Add(1)
		e.Logger.Warn("making an alert", zap.String("scenario", o.Scenario.Name), zap.Error(err))
		return true
	}
	for i := range ev.Overflow.APIAlerts {
		if a := &ev.Overflow.APIAlerts[i]; e.Simulated != nil && e.Simulated(a) {
			a.Simulated = true
		}
	}
	if e.Postoverflows != nil {
		// CrowdSec compatible: an overflow that they do not get through goes out as well.
		if out := e.Observe.run(e.Postoverflows, ev); out.Err != nil {
			e.Logger.Warn("running postoverflows", zap.String("scenario", o.Scenario.Name), zap.Error(out.Err))
		}
	}
	if e.Observe.Overflow != nil {
		e.Observe.Overflow(ev)
	}
	if ev.Overflow.Whitelisted {
		e.Counters.Forgiven.Add(1)
		e.Logger.Info("overflow forgiven", zap.String("scenario", o.Scenario.Name),
			zap.Strings("sources", ev.Overflow.GetSources()), zap.String("reason", ev.WhitelistReason))
		return true
	}
	if ev.Overflow.Reprocess {
		e.reprocess(ev, o)
	}
	done = true
	for i := range ev.Overflow.APIAlerts {
		done = e.conclude(&ev.Overflow.APIAlerts[i]) && done
	}
	return done
}

// reprocess offers an overflow to the scenarios once more, as a live event like
// CrowdSec does; in replay at the overflow's own instant.
func (e *Engine) reprocess(ev *event.Event, o *scenarios.Overflow) {
	if o.Depth >= maxDepth {
		e.Counters.Looping.Add(1)
		return
	}
	ev.From.Depth = o.Depth + 1
	at := o.At
	if !e.Replay {
		at = e.Now()
	}
	e.pour(ev, scenarios.Whole, at)
}

// conclude returns false if the journal is closed.
func (e *Engine) conclude(a *event.Alert) bool {
	now := e.Now()
	if e.Replay {
		now = a.Stop
	}
	a.MachineID, a.CreatedAt = e.Machine, now.UTC().Format(time.RFC3339)
	j, err := e.Profiles.Judge(a, now)
	ds := j.Decisions
	if err != nil {
		e.Counters.Failed.Add(1)
		e.Logger.Error("running profiles", zap.String("profile", j.Decider),
			zap.String("scenario", a.Scenario), zap.Error(err))
	}
	if e.Journal != nil {
		err := e.Journal.Append(a, ds)
		if errors.Is(err, ErrKnown) {
			e.Counters.Known.Add(1)
			return true
		}
		if err != nil {
			e.Counters.Failed.Add(1)
			e.Logger.Error("recording an alert", zap.String("scenario", a.Scenario),
				zap.String("source", a.GetValue()), zap.Error(err))
			if a.ID == 0 {
				return !errors.Is(err, decisions.ErrClosed)
			}
			// The alert is recorded, and only a decision was refused.
		}
		ds = slices.DeleteFunc(slices.Clone(ds), func(d decisions.Decision) bool { return d.ID == 0 })
	}
	e.Counters.Alerts.Add(1)
	if e.Watch != nil {
		e.Watch(a, ds, j.Matched)
	}
	e.logAlert(a, ds)
	return true
}

func (e *Engine) logAlert(a *event.Alert, ds []decisions.Decision) {
	entry := e.Logger.Check(zap.InfoLevel, "alert")
	if entry == nil {
		return
	}
	fields := []zap.Field{zap.String("scenario", a.Scenario), zap.String("source", a.GetValue()),
		zap.Int32("events", a.EventsCount), zap.Int64("alert", a.ID)}
	for _, d := range ds {
		kind := d.Type
		if d.Suppressed {
			kind += "_suppressed"
		}
		fields = append(fields, zap.String(kind, d.Value), zap.Time("until", d.Until))
	}
	if a.Simulated {
		fields = append(fields, zap.Bool("simulated", true))
	}
	entry.Write(fields...)
}
