package cluster

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/rampart-edge/rampart/scenarios"
)

// What compare.lua answers.
const (
	stepAsk        = 1 // the conditions are to be asked
	stepPoured     = 2
	stepDiscarded  = 3
	stepCancelled  = 4
	stepBlackholed = 5
	stepOverflowed = 6
	stepStruck     = 7 // the deadline of the bucket before was over
)

// Flags of a pour beside those of a record, as compare.lua knows them.
const (
	stepCompare  = 8
	stepCancel   = 16
	stepLate     = 32
	stepNumbered = 64
)

// lateBy is how much older than its sending an event must be, in µs, to count as late.
const lateBy = 10_000_000

// stepReply is what compare.lua answered.
type stepReply struct {
	status     uint8
	at         int64 // µs: the instant that counts for the event
	gen, first int64
	count      uint32
	record     []byte // of an overflow
	token      []byte // stepAsk: stands for what follows
	tripped    uint64
	queue      [][]byte
}

const (
	stepHead = 1 + 3*8 + 4
	stepTold = stepHead + 16 + 8
)

var errStep = errors.New("the answer of the script of buckets with conditions cannot be read")

// decodeStep reads an answer. It comes from Redis and may be anything.
func decodeStep(v any) (stepReply, error) {
	list, ask := v.([]any)
	text, _ := v.(string)
	if ask {
		if len(list) != 2 {
			return stepReply{}, errStep
		}
		text, _ = list[0].(string)
	}
	if len(text) < stepHead || ask && len(text) != stepTold {
		return stepReply{}, errStep
	}
	b, le := []byte(text), binary.LittleEndian
	s := stepReply{status: b[0], at: instantOf(b[1:]), gen: wholeOf(b[9:]), first: instantOf(b[17:]), count: le.Uint32(b[25:])}
	if s.status < stepAsk || s.status > stepStruck || (s.status == stepAsk) != ask || s.at < 0 || s.gen < 0 || s.first < 0 {
		return stepReply{}, errStep
	}
	if !ask {
		s.record = b[stepHead:]
		return s, nil
	}
	s.token, s.tripped = b[stepHead:stepHead+16], le.Uint64(b[stepHead+16:])
	queue, _ := list[1].([]any)
	size := 0
	for _, q := range queue {
		record, ok := q.(string)
		if size += len(record); !ok || len(s.queue) >= mostQueued || size > 2*mostText {
			return stepReply{}, errStep
		}
		s.queue = append(s.queue, []byte(record))
	}
	return s, nil
}

// wholeOf reads a double that should be a whole number that one holds exactly; -1: it
// is not.
func wholeOf(b []byte) int64 {
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if !(f >= 0 && f <= 1<<53) {
		return -1
	}
	return int64(f)
}

// packRule appends what compare.lua and deadline.lua are told of a scenario: bits,
// credit of an empty bucket and of an event, life, blackhole, slack, most records, id.
func (b *Buckets) packRule(s *scenarios.Scenario) []byte {
	bits := byte(0)
	for i, on := range [...]bool{s.Type == scenarios.Leaky, s.Timed(), s.Judged(), s.Queued(), s.Filtered()} {
		if on {
			bits |= 1 << i
		}
	}
	full, each := s.Credit()
	out := append(make([]byte, 0, 61), bits)
	for _, n := range [...]int64{full, each, s.Life().Microseconds(), s.Blackhole.Microseconds(), b.slack()} {
		out = appendDouble(out, n)
	}
	id := s.ID()
	return append(binary.LittleEndian.AppendUint32(out, uint32(min(s.Keep(), mostQueued))), id[:]...)
}

// appendVerdict appends what the conditions said, and how many records are forgotten.
func appendVerdict(b []byte, overflows bool, tripped uint64, forget int) []byte {
	bit := byte(0)
	if overflows {
		bit = 1
	}
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint64(append(b, bit), tripped), uint32(forget))
}

// times is how many pours of a parcel one call makes: events of a counter change its
// number alone, and those of one distinct value are one event.
func (t *trial) times(p *parcel) int {
	if t.scenario.Judged() || t.scenario.Type == scenarios.Leaky || p.flags&parcelCompare != 0 {
		return 1
	}
	return t.left
}

// fill makes the call for the parcel in turn.
func (w *stepper) fill(t *trial) {
	b, p := w.g.b, &w.c.parcels[t.head]
	le, seq, sent := binary.LittleEndian, w.g.next(), b.o.Now().UnixMicro()
	bits, clock, at, node := p.flags&(flagDirect|flagDetect|flagWidth64), byte(0), p.at, b.c.Number()
	switch {
	case b.o.absolute:
		clock = 1
	case t.told != nil:
		clock, at = 2, t.told.at
	}
	for _, f := range [...]struct {
		on  bool
		bit uint8
	}{
		{p.flags&parcelCompare != 0, stepCompare}, {p.flags&parcelCancel != 0, stepCancel},
		{sent-p.at > lateBy, stepLate}, {node >= 0, stepNumbered},
	} {
		if f.on {
			bits |= f.bit
		}
	}
	unique := appendDouble(w.g.name[:len(w.g.name):len(w.g.name)], seq)
	t.id = string(append(unique[:8:8], append([]byte{'c'}, unique[8:]...)...))
	arg := appendDouble(nil, seq)
	arg = appendDouble(appendDouble(append(arg, clock), at), sent)
	arg = le.AppendUint32(append(arg, bits), uint32(t.times(p)))
	arg = append(le.AppendUint64(arg, p.distinct), byte(max(node, 0)))
	arg = appendDouble(arg, w.g.generation(seq))
	arg = append(append(append(arg, unique...), b.owner[:]...), t.id...)
	told := []byte("?")
	if t.told != nil {
		told = t.told.token
	}
	keys := append(b.bucketKeys(t.scenario, &p.key), b.keyOf(shardOf(&p.key), "c:")+string(w.g.name[:]))
	t.call = call{keys, []any{b.packRule(t.scenario), arg, w.c.of(p.info), w.c.of(p.record), told, t.verdict}}
}

// generation is a number that no other bucket of the fleet has at the time: it is
// random in its upper part.
func (g *group) generation(seq int64) int64 {
	return (int64(binary.LittleEndian.Uint64(g.name[:])&(1<<52-1)) + seq) & (1<<52 - 1)
}
