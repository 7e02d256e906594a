package engine

import "sync/atomic"

// Counters count what engines did; several generations of engines share one.
type Counters struct {
	Lines       atomic.Int64 // lines taken
	Unparsed    atomic.Int64 // lines that no parser knew
	Untimed     atomic.Int64 // replayed lines without a timestamp, not poured
	Late        atomic.Int64 // lines that counted at their own time
	Whitelisted atomic.Int64 // events that a parser whitelisted
	Requests    atomic.Int64 // live requests observed
	Poured      atomic.Int64 // events × scenarios
	Overflows   atomic.Int64 // overflows handled
	Sourceless  atomic.Int64 // overflows without a usable source
	Forgiven    atomic.Int64 // overflows that a postoverflow whitelisted
	Looping     atomic.Int64 // overflows of overflows cut off
	Alerts      atomic.Int64 // alerts concluded
	Known       atomic.Int64 // alerts that were recorded before, by another node for example
	Failed      atomic.Int64 // alerts that the journal or the profiles refused
}
