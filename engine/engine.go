// Package engine is the way from an event to a decision: parse, pour, overflow,
// postoverflow, profile. Live traffic, replay and tests run the same type.
//
//	Line ─► parsers ─► rules ─pour─► buckets ─overflow─► postoverflows ─► profiles ─► journal
//
// It reads no files, holds no buckets and keeps no decisions: those are given to
// it. An Engine is immutable and safe for concurrent use; a new configuration
// makes a new one around the same buckets and journal.
package engine

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// EnrichStage is where live requests enter the parsers.
const EnrichStage = "s02-enrich"

// Late is how old a tailed line may be when it is read before its own timestamp
// counts instead of the clock. CrowdSec always takes the clock, so that an hour
// of lines read at once looks like a burst.
const Late = 10 * time.Second

// apart is how old a tailed line must be when it is read for its log to have
// buckets of its own. What several logs gathered meanwhile is read one log after
// the other: a bucket that has seen the end of the first has nothing leak while it
// sees the beginning of the second. Up to this age it costs a few leaked events.
const apart = time.Minute

// maxRepeat bounds "message repeated N times": syslog may claim any number.
const maxRepeat = 100

// maxDepth bounds chains of scenarios that consume overflows.
const maxDepth = 3

// Journal takes what the engine concludes; decisions.Book is one.
type Journal interface {
	Append(a *event.Alert, ds []decisions.Decision) error
}

// Options are the parts of an engine. Pipeline, Rules, Buckets, Profiles, Now and
// Counters must be given.
type Options struct {
	Pipeline      *parsers.Pipeline
	Postoverflows *parsers.Pipeline // nil: none
	Rules         *scenarios.Rules
	Buckets       scenarios.Buckets
	Profiles      *decisions.Profiles
	Journal       Journal                                  // nil: conclusions only reach Watch
	Watch         func(*event.Alert, []decisions.Decision) // of what was recorded; may be nil
	Counters      *Counters
	Logger        *zap.Logger
	Now           func() time.Time
	Machine       string // machine_id of alerts
	Replay        bool   // lines count at their own time
	Width64       bool   // IPv6 sources of lines are keyed by their /64, as those of requests
	// Native names the parser nodes that live requests need not run, since their
	// fields were filled in without text.
	Native func(node string) bool
}

// Engine is the compiled whole.
type Engine struct {
	Options
	pool  event.Pool
	rooms sync.Pool // *[]scenarios.Drop
}

// New makes an engine of its parts.
func New(o Options) *Engine {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Engine{Options: o}
}

// Line parses one line and pours it. It returns whether a parser knew the line.
func (e *Engine) Line(l event.Line) bool {
	ev := e.pool.Get()
	defer e.pool.Put(ev)
	ev.Line, ev.Process = l, true
	if e.Replay {
		ev.ExpectMode, ev.Time = event.Replay, undated()
	} else {
		ev.Time = l.Time
	}
	e.Counters.Lines.Add(1)
	if out := e.Pipeline.Parse(ev); !out.Parsed {
		e.Counters.Unparsed.Add(1)
		if out.Err != nil {
			e.Logger.Debug("parsing a line", zap.String("source", l.Src), zap.Error(out.Err))
		}
		return false
	}
	if ev.Whitelisted {
		e.Counters.Whitelisted.Add(1)
		return true
	}
	// A log of another web server may name a client that came through a proxy;
	// other services wrote down the peer itself.
	ev.From.Direct = ev.Meta["service"] != "http"
	ev.From.Width64 = e.Width64
	unmap(ev)
	at, ok := e.instant(ev)
	if !ok {
		e.Counters.Untimed.Add(1)
		return true
	}
	e.pour(ev, scenarios.Whole, at)
	return true
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
	stamped, err := time.Parse(time.RFC3339Nano, ev.MarshaledTime)
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

func (e *Engine) pour(ev *event.Event, phase scenarios.Phase, at time.Time) {
	room := e.room()
	defer e.tidy(room)
	drops := e.Rules.Drops(ev, phase, at, *room)
	*room = drops
	if len(drops) == 0 {
		return
	}
	count, lane := 1, e.lane(ev, at)
	if !ev.From.Inline { // a request is one, whatever its fields say
		count = repeat(ev)
	}
	for i := range drops {
		drops[i].Lane = lane
		drops[i].Replay = e.Replay && ev.Type == event.LogType
		drops[i].Count = count
	}
	e.Counters.Poured.Add(int64(len(drops)))
	e.Buckets.Pour(drops)
}

// room returns an empty list for drops, which goes back with tidy.
func (e *Engine) room() *[]scenarios.Drop {
	if r, ok := e.rooms.Get().(*[]scenarios.Drop); ok {
		return r
	}
	return new([]scenarios.Drop)
}

// tidy takes a list back without what its drops refer to.
func (e *Engine) tidy(room *[]scenarios.Drop) {
	clear(*room)
	*room = (*room)[:0]
	e.rooms.Put(room)
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
