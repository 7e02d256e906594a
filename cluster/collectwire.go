package cluster

import (
	"encoding/binary"
	"errors"

	"github.com/rampart-edge/rampart/scenarios"
)

// Nodes ask each other for samples by messages on channels of their own, all numbers
// little endian:
//
//	question  'Q' · number u64 · asker [16] · key [16] · gen i64 · upTo u32 · limit u16
//	answer    'A' · number u64 · answerer [16] · (n u32 · length u32 · sample)…
//
// Node ids are hex texts.

// question asks a node for the samples that it has of a bucket.
type question struct {
	number uint64 // of the asker's
	asker  string
	key    [16]byte
	gen    int64
	upTo   uint32
	limit  int
}

// answer has what a node has, ascending by n.
type answer struct {
	number uint64
	from   string
	kept   []scenarios.Kept
}

const (
	questionSize = 1 + 8 + 16 + 16 + 8 + 4 + 2
	answerHead   = 1 + 8 + 16
	// mostAsked is how many samples are asked for at most.
	mostAsked = 1001
	// mostAnswer bounds an answer in bytes; the oldest samples make way.
	mostAnswer = 1 << 20
	mostSample = 64 << 10
)

var errMessage = errors.New("a message about samples cannot be read")

func (q *question) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(le.AppendUint64(append(b, 'Q'), q.number), q.asker...)
	b = le.AppendUint64(append(b, q.key[:]...), uint64(q.gen))
	return le.AppendUint16(le.AppendUint32(b, q.upTo), uint16(q.limit))
}

// decodeQuestion reads a question, which anybody can have sent.
func decodeQuestion(b string) (question, error) {
	le := binary.LittleEndian
	if len(b) != questionSize || b[0] != 'Q' || !validNode(b[9:25]) {
		return question{}, errMessage
	}
	q := question{asker: b[9:25]}
	rest := []byte(b[25:])
	q.number = le.Uint64([]byte(b[1:9]))
	copy(q.key[:], rest)
	q.gen, q.upTo, q.limit = int64(le.Uint64(rest[16:])), le.Uint32(rest[24:]), int(le.Uint16(rest[28:]))
	if q.limit > mostAsked {
		return question{}, errMessage
	}
	return q, nil
}

// append appends as many of the newest samples as fit.
func (a *answer) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(le.AppendUint64(append(b, 'A'), a.number), a.from...)
	from, size := len(a.kept), len(b)
	for from > 0 {
		size += 8 + len(a.kept[from-1].Sample)
		if size > mostAnswer {
			break
		}
		from--
	}
	for _, k := range a.kept[from:] {
		b = le.AppendUint32(le.AppendUint32(b, k.N), uint32(len(k.Sample)))
		b = append(b, k.Sample...)
	}
	return b
}

// decodeAnswer reads an answer, which anybody can have sent.
func decodeAnswer(b string) (answer, error) {
	le := binary.LittleEndian
	if len(b) < answerHead || len(b) > mostAnswer || b[0] != 'A' || !validNode(b[9:25]) {
		return answer{}, errMessage
	}
	a := answer{number: le.Uint64([]byte(b[1:9])), from: b[9:25]}
	for rest := []byte(b[answerHead:]); len(rest) > 0; {
		if len(rest) < 8 {
			return answer{}, errMessage
		}
		n, size := le.Uint32(rest), int(le.Uint32(rest[4:]))
		rest = rest[8:]
		before := uint32(0)
		if len(a.kept) > 0 {
			before = a.kept[len(a.kept)-1].N
		}
		if n <= before || size > mostSample || size > len(rest) || len(a.kept) >= mostAsked {
			return answer{}, errMessage
		}
		a.kept = append(a.kept, scenarios.Kept{N: n, Sample: rest[:size:size]})
		rest = rest[size:]
	}
	return a, nil
}
