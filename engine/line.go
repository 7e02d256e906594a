package engine

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// outcome is what became of a line that was read.
type outcome uint8

const (
	unknown outcome = iota // no parser knew it
	spent                  // whitelisted, or without a time: nothing to pour
	ready
)

// Line parses one line and pours it. It returns whether a parser knew the line.
func (e *Engine) Line(l event.Line) bool {
	ev := e.pool.Get()
	at, out := e.parse(ev, l)
	if out == ready {
		e.pour(ev, scenarios.Whole, at)
	}
	e.pool.Put(ev)
	return out != unknown
}

// Read parses one line and finds out when it counts, for a caller that pours in an
// order of its own: with Take, and Done after it. It returns nil and false for a
// line of which there is nothing to pour.
func (e *Engine) Read(l event.Line) (*event.Event, time.Time, bool) {
	ev := e.pool.Get()
	at, out := e.parse(ev, l)
	if out != ready {
		e.pool.Put(ev)
		return nil, time.Time{}, false
	}
	return ev, at, true
}

// Take pours an event that Read gave, at its instant.
func (e *Engine) Take(ev *event.Event, at time.Time) { e.pour(ev, scenarios.Whole, at) }

func (e *Engine) parse(ev *event.Event, l event.Line) (time.Time, outcome) {
	ev.Line, ev.Process = l, true
	switch {
	case !e.Replay:
		ev.Time = l.Time
	case e.Faithful:
		ev.ExpectMode = event.Replay
	default:
		ev.ExpectMode, ev.Time = event.Replay, undated()
	}
	e.Counters.Lines.Add(1)
	out := e.Observe.run(e.Pipeline, ev)
	if e.Observe.Parsed != nil {
		e.Observe.Parsed(ev, out)
	}
	if !out.Parsed {
		e.Counters.Unparsed.Add(1)
		if out.Err != nil {
			e.Logger.Debug("parsing a line", zap.String("source", l.Src), zap.Error(out.Err))
		}
		return time.Time{}, unknown
	}
	if ev.Whitelisted {
		e.Counters.Whitelisted.Add(1)
		return time.Time{}, spent
	}
	ev.From.Width64 = e.Width64
	if !e.Faithful {
		unmap(ev)
	}
	at, ok := e.instant(ev)
	if !ok {
		e.Counters.Untimed.Add(1)
		return at, spent
	}
	return at, ready
}

// mapped begins an IPv4 address in IPv6 clothes, as servers with one socket for both
// write it.
const mapped = "::ffff:"

// unmap makes such a source the IPv4 address that it is: live requests are counted
// under that, and so are lines of servers with two sockets.
func unmap(ev *event.Event) {
	ip := ev.Meta["source_ip"]
	if !strings.HasPrefix(ip, mapped) {
		return
	}
	if a, err := netip.ParseAddr(ip); err == nil && a.Is4In6() {
		ev.SetMeta("source_ip", a.Unmap().String())
	}
}

// instant is when ev counts; false where replay needs a timestamp and has none.
func (e *Engine) instant(ev *event.Event) (time.Time, bool) {
	if ev.From.Inline {
		return ev.From.At, true
	}
	stamped, err := ev.Stamp.Of(ev.MarshaledTime)
	if e.Replay && e.Faithful {
		if ev.MarshaledTime == "" {
			return e.Now(), true
		}
		return stamped, err == nil
	}
	if e.Replay {
		return stamped, err == nil && dated(ev, stamped)
	}
	read := e.read(ev)
	if err == nil && read.Sub(stamped) > Late {
		e.Counters.Late.Add(1)
		return stamped, true
	}
	return read, true
}

// undated is evt.Time of a replayed line until a date was read.
func undated() time.Time { return time.Unix(0, 1).UTC() }

// dated reports whether the time of a replayed line is its own. CrowdSec
// compatible: for a date that cannot be read the parser puts the present; only one
// that was read becomes evt.Time as well.
func dated(ev *event.Event, stamped time.Time) bool {
	if !ev.Time.Equal(undated()) {
		return true
	}
	if text, parsed := ev.Enriched["MarshaledTime"]; parsed && text == ev.MarshaledTime {
		return false
	}
	ev.Time = stamped // from a parser of the operator's own
	return true
}

// read is when a line was read.
func (e *Engine) read(ev *event.Event) time.Time {
	if ev.Line.Time.IsZero() {
		return e.Now()
	}
	return ev.Line.Time
}

// lane is what keeps a line of long ago apart: the log that it is from.
func (e *Engine) lane(ev *event.Event, at time.Time) string {
	if e.Replay || ev.From.Inline || ev.Type != event.LogType || e.read(ev).Sub(at) <= apart {
		return ""
	}
	return ev.Line.Src
}

// repeat is how often the line says that it happened.
func repeat(ev *event.Event) int {
	text, ok := ev.Parsed["repeat"]
	if !ok {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 1
	}
	return min(n, maxRepeat)
}
