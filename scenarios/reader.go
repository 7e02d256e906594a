package scenarios

import (
	"encoding/binary"
	"math"
)

// reader takes numbers and texts off a slice of bytes that may be damaged. After
// the first thing that is missing it is bad and answers zeros.
type reader struct {
	b   []byte
	bad bool
	all string // what b is the rest of: texts are parts of it; "": they are copied
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		r.b = nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// degrees reads a part of a place; what is no number, which JSON could not carry, is
// none.
func (r *reader) degrees() float32 {
	f := math.Float32frombits(r.uint32())
	if f >= -360 && f <= 360 {
		return f
	}
	return 0
}

// length reads how many things follow, at most most.
func (r *reader) length(most int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(most) {
		r.bad = true
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) text() string {
	n := r.length(len(r.b))
	if r.all == "" {
		return string(r.take(n))
	}
	from := len(r.all) - len(r.b)
	if r.take(n); r.bad {
		return ""
	}
	return r.all[from : from+n]
}

func appendFloat(b []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
}
