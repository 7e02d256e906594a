package scenarios

import (
	"github.com/rampart-edge/rampart/event"
)

// Pour is a drop as the keeper of a bucket needs it. It and all its slices are valid
// until the function that it is shown to returns.
type Pour struct {
	Scenario *Scenario
	Key      [16]byte // of the bucket: keyed hash of the scenario's ID and the group
	Group    string   // the groupby result
	At       int64    // µs since 1970
	Count    int      // how many times it is poured, at least 1
	Distinct uint64   // keyed hash of the value that must be new to the bucket
	Compare  bool     // there is such a value
	Cancel   bool     // it empties the bucket instead; then nothing below is there but Whole
	// Whole: its conditions can only be asked of the event itself, because it is an
	// overflow or the scenario is not Shareable. It belongs into a Memory.
	Whole bool

	Direct, Detect, Width64 bool // see event.Provenance
	Site, Incident          string
	Depth                   int
	// Source is the event's source, at most 96 bytes: enough for an alert when the node
	// that saw the event is gone. Empty where it has none or one that does not fit.
	Source []byte
	// Sample is the event with its sources, for Evidence; nil where it does not fit.
	Sample []byte
	// Record is what the conditions look at, for Judge; nil unless the scenario is
	// Judged.
	Record     []byte
	Sourceless error // why the event has no source
}

// Each shows the drops to visit as Pours, in order. What drops of one event in a row
// have in common is made once.
func (r *Remote) Each(batch []Drop, visit func(*Pour)) {
	if len(batch) == 0 {
		return
	}
	x, key := r.borrow(), r.key.Load()
	defer r.giveBack(x)
	for i := range batch {
		d := &batch[i]
		if d.Event == nil {
			d.Event = noEvent
		}
		x.prepare(d, key)
		visit(&x.out)
	}
}

// prepare makes d into x.out.
func (x *remotePour) prepare(d *Drop, key *hashKey) {
	s, from := d.Scenario, &d.Event.From
	if x.about(d) {
		x.both = x.both[:0]
	}
	x.out = Pour{
		Scenario: s, Key: key.sum128(&s.id, d.group()), Group: d.Key, At: instant(d.At) / 1000, Count: max(d.Count, 1),
		Compare: s.Distinct() && !d.Uncompared, Cancel: d.Cancel && s.Type != Trigger,
		Whole:  s.judge != nil && s.judge.needs(d.Event),
		Direct: from.Direct, Detect: from.Detect, Width64: from.Width64, Site: from.Site, Incident: from.Incident,
		Depth: from.Depth,
	}
	if x.out.Compare {
		x.out.Distinct = key.sum64(d.Distinct)
	}
	if x.out.Cancel {
		return
	}
	if x.sample() || len(x.both) == 0 {
		x.both = append(append(x.both[:0], x.body...), x.who...)
		x.source = appendCompact(x.source[:0], x.sources)
	}
	if len(x.body) > 0 {
		x.out.Sample = x.both
	}
	x.out.Source, x.out.Sourceless = x.source, x.sourceless
	if s.judge != nil && !x.out.Whole {
		x.vars.Evt = d.Event
		x.holds = 0
		if s.judge.queued {
			x.predict(s.judge)
		}
		x.record = appendRecord(x.record[:0], s.judge, x.noted(), d.Event)
		x.out.Record = x.record
	}
}

// Judge asks the conditions of s whether a bucket overflows, with its records: those
// of the queue, oldest first, the newest last, which is that of the event that was
// poured; where the scenario is not Queued, the newest alone. Instants are in
// microseconds, count has that event in it, tripped is what the last Judge of the
// bucket gave. A record that is damaged counts as if it were not there, but without
// the newest nothing overflows.
//
// It gives what a Memory gives, except that evt, too, has each text cut to 4096 bytes.
func (r *Remote) Judge(s *Scenario, group string, first, last int64, count int, tripped uint64, records [][]byte) (overflows bool, nowTripped uint64) {
	if s.judge == nil || s.judge.whole || len(records) == 0 {
		return false, tripped
	}
	x := r.borrow()
	defer r.giveBack(x)
	if !x.recall(s, records) {
		return false, tripped
	}
	if s.judge.leaky {
		x.vars.Leaky = s.leakyVars(group, nanos(first), nanos(last), count)
	}
	v := s.judge.ask(&x.extract, tripped)
	if v.failed > 0 {
		r.fault(s, v.failed, v.err)
	}
	return v.overflows, v.tripped
}

// recall opens the records to conditions; false: the newest cannot be read.
func (x *remotePour) recall(s *Scenario, records [][]byte) bool {
	j := s.judge
	x.queue.empty()
	most := min(s.keep, mostKept+1)
	newest := false
	for _, b := range records[max(0, len(records)-most):] {
		var rec record
		var text []byte
		if rec, text, newest = readRecord(b, j); newest {
			x.queue.add(rec, text, nil, most)
		}
	}
	if !newest {
		return false
	}
	at := x.queue.len() - 1
	x.event.Reset()
	x.queue.restore(at, string(x.queue.body(at)), j.fields, &x.event)
	x.vars.Evt = &x.event
	if j.queued {
		x.window.open(&x.queue, j, s.limit)
	} else {
		x.window.open(nil, j, s.limit)
	}
	return true
}

// nanos makes microseconds that may be any number into ns since 1970.
func nanos(us int64) int64 {
	return 1000 * min(max(us, 0), latest.UnixMicro())
}

// compactSource is how many bytes a compact source has at most.
const compactSource = 96

// appendCompact appends as many of the sources as fit, each without its scope, which
// is the scenario's, and with less of what only adorns it where it is too long.
func appendCompact(b []byte, list []event.Source) []byte {
	start := len(b)
	b = append(b, 0)
	for i := range list {
		mark := len(b)
		s := list[i]
		s.Scope = ""
		for cut := 0; ; cut++ {
			switch cut {
			case 1:
				s.AsName, s.Latitude, s.Longitude = "", 0, 0
			case 2:
				s.AsNumber, s.Cn, s.Range = "", "", ""
			case 3:
				if i == 0 {
					return b[:start]
				}
				return b[:mark]
			}
			if b = appendSource(b[:mark], &s); len(b)-start <= compactSource {
				break
			}
		}
		b[start]++
	}
	if len(list) == 0 {
		return b[:start]
	}
	return b
}
