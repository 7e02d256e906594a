package scenarios

import (
	"encoding/binary"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// The bounds of one queue. CrowdSec has none where capacity is -1: whoever can make
// events can fill its memory. Above these bounds the oldest events make way, and
// are counted as forgotten; conditions then see the newest.
const (
	mostKept   = 1000
	mostText   = 256 << 10 // bytes of all fields together
	fieldCut   = 4096      // bytes of one field
	recordSize = 16
	queueSize  = 112 // of a queue itself, as the allocator rounds it
	wholeSize  = 640 // of a whole event, without its texts
)

// record is one event in a queue: what conditions need most often without looking
// at its fields.
type record struct {
	time  int64 // ns
	at    uint32
	zone  int16  // minutes east
	holds uint16 // the predicates that it passes; broken: one of them failed
}

// broken marks an event on which a predicate failed: whole conditions are run then,
// which say what that means.
const broken = 1 << 15

// queue holds the events of one bucket for its conditions, as texts in a row: a
// million of them must not be a million maps. Events that conditions read in ways
// that cannot be named are kept as they are beside it.
//
//	text: (type · (0, or length+1 · field)…)…
type queue struct {
	list  []record
	from  int // records before it are given up
	text  []byte
	whole []*event.Event // none, or one for each record; nil where the text has all
	bulk  int64          // bytes of whole, estimated
	bad   int            // records that are broken
}

func (q *queue) len() int { return len(q.list) - q.from }

// at returns record i, counted from the oldest.
func (q *queue) at(i int) *record { return &q.list[q.from+i] }

// body returns the fields of record i.
func (q *queue) body(i int) []byte {
	end := len(q.text)
	if q.from+i+1 < len(q.list) {
		end = int(q.list[q.from+i+1].at)
	}
	return q.text[q.list[q.from+i].at:end]
}

func (q *queue) event(i int) *event.Event {
	if q.whole == nil {
		return nil
	}
	return q.whole[q.from+i]
}

func (q *queue) bytes() int64 {
	return queueSize + int64(cap(q.list))*recordSize + int64(cap(q.text)) + int64(cap(q.whole))*8 + q.bulk
}

// add appends an event and returns how many make way for it; most is how many
// there may be.
func (q *queue) add(r record, text []byte, whole *event.Event, most int) (forgotten int) {
	if whole != nil && q.whole == nil {
		q.whole = make([]*event.Event, len(q.list), cap(q.list)+1)
	}
	r.at = uint32(len(q.text))
	if r.holds&broken != 0 {
		q.bad++
	}
	q.list = append(q.list, r)
	q.text = append(q.text, text...)
	if q.whole != nil {
		q.whole = append(q.whole, whole)
		q.bulk += bulkOf(whole)
	}
	for q.len() > most || q.len() > 1 && len(q.text)-int(q.at(0).at) > mostText {
		if q.whole != nil {
			q.bulk -= bulkOf(q.whole[q.from])
			q.whole[q.from] = nil
		}
		if q.at(0).holds&broken != 0 {
			q.bad--
		}
		q.from++
		forgotten++
	}
	if q.from > 16 && q.from > len(q.list)/2 {
		q.compact()
	}
	return forgotten
}

// empty gives up all records; the memory is kept, unless it is a lot.
func (q *queue) empty() {
	if cap(q.text) > maxBody {
		*q = queue{}
	}
	*q = queue{list: q.list[:0], text: q.text[:0]}
}

// compact moves what is left to the front.
func (q *queue) compact() {
	base := q.at(0).at
	q.text = q.text[:copy(q.text, q.text[base:])]
	if q.whole != nil {
		n := copy(q.whole, q.whole[q.from:])
		clear(q.whole[n:])
		q.whole = q.whole[:n]
	}
	q.list = q.list[:copy(q.list, q.list[q.from:])]
	q.from = 0
	for i := range q.list {
		q.list[i].at -= base
	}
}

// bulkOf estimates what a whole event occupies.
func bulkOf(ev *event.Event) int64 {
	if ev == nil {
		return 0
	}
	n := wholeSize + len(ev.Line.Raw) + 64*len(ev.Unmarshaled)
	for _, m := range [...]map[string]string{ev.Meta, ev.Parsed, ev.Enriched, ev.Line.Labels} {
		for k, v := range m {
			n += len(k) + len(v) + 48
		}
	}
	for i := range ev.Overflow.APIAlerts {
		n += 256 + 256*len(ev.Overflow.APIAlerts[i].Events)
	}
	return int64(n)
}

// appendFields appends the fields of ev that conditions read.
func appendFields(b []byte, ev *event.Event, paths []string) []byte {
	b = append(b, byte(ev.Type))
	for _, path := range paths {
		s, ok := textOf(ev, path)
		if !ok {
			b = append(b, 0)
			continue
		}
		s = s[:min(len(s), fieldCut)]
		b = append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	}
	return b
}

// appendRecord appends an event as a record that stands for itself:
//
//	form 2 · time 8 · zone 2 · holds 2 · text
//
// form says what the rest means, which another release may see otherwise.
func appendRecord(b []byte, j *judge, r record, ev *event.Event) []byte {
	b = binary.LittleEndian.AppendUint16(b, j.form)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.time))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.zone))
	b = binary.LittleEndian.AppendUint16(b, r.holds)
	return appendFields(b, ev, j.fields)
}

// readRecord reads what appendRecord wrote, for the same conditions; text is a part
// of b. ok is false for anything else.
func readRecord(b []byte, j *judge) (r record, text []byte, ok bool) {
	in := reader{b: b}
	form := in.uint16()
	r = record{time: int64(in.uint64()), zone: int16(in.uint16()), holds: in.uint16()}
	ok = !in.bad && form == j.form && r.sound() && soundFields(in.b, len(j.fields))
	return r, in.b, ok
}

// sound reports whether the numbers of r can be.
func (r *record) sound() bool { return r.time >= 0 && r.time <= latest.UnixNano() }

// fieldRange returns where field n is in a record's text; ok is false for one that
// was not there or is damaged.
func fieldRange(body []byte, n int) (from, to int, ok bool) {
	at := 1
	for ; ; n-- {
		if at > len(body) {
			return 0, 0, false
		}
		size, used := binary.Uvarint(body[at:])
		if used <= 0 || size > fieldCut+1 {
			return 0, 0, false
		}
		at += used
		if n == 0 {
			return at, at + int(size) - 1, size > 0 && at+int(size)-1 <= len(body)
		}
		if size > 0 {
			at += int(size) - 1
		}
	}
}

// soundFields reports whether body has the form of n fields.
func soundFields(body []byte, n int) bool {
	r := reader{b: body}
	r.byte()
	for range n {
		if size := r.length(fieldCut + 1); size > 0 {
			r.take(size - 1)
		}
	}
	return !r.bad && len(r.b) == 0
}

// restore fills ev with the fields of record i, whose text is text.
func (q *queue) restore(i int, text string, paths []string, ev *event.Event) {
	r := q.at(i)
	ev.Type = int(text[0])
	ev.Time = time.Unix(0, r.time).In(zoneOf(int(r.zone) * 60))
	body := q.body(i)
	for n, path := range paths {
		if from, to, ok := fieldRange(body, n); ok {
			setText(ev, path, text[from:to])
		}
	}
}
