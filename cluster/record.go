package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// record is an overflow as it waits in an outbox until its alert is recorded. The
// scripts write it in record.lua, in the form that decode reads, all numbers little
// endian:
//
//	version u8 = 1 · owner [8] · stamp i64 · flags u8 · depth u8 · scenario [16] ·
//	key [16] · gen i64 · first i64 · last i64 · at i64 · count u32 · nodes [32] ·
//	(length u16 · text) of group, site, incident and source
//
// Owner and stamp are in front so that a take-over changes nothing behind them.
type record struct {
	owner           [8]byte // id of the node that concludes it
	stamp           int64   // µs of Redis' clock, when it was written or taken over
	flags           uint8
	depth           uint8
	scenario        [16]byte // Scenario.ID
	key             [16]byte // of the bucket
	gen             int64    // of the samples: no other bucket of the key has it
	first, last, at int64    // µs
	count           uint32
	nodes           nodeSet // that poured into it
	group           string
	site, incident  string // of the last event
	source          []byte // see scenarios.Pour
}

// Flags of a record and of a bucket's state.
const (
	flagDirect  = 1 << iota // all events came straight from the source
	flagDetect              // all events were for sites that only detect
	flagWidth64             // of the last event
	flagPassed              // record: its filter was asked and its blackhole begun, or it has neither
)

// The layout of a record.
const (
	recordVersion = 1
	recordHead    = 1 + 8 + 8 + 1 + 1 + 16 + 16 + 4*8 + 4 + 32
)

// The longest texts of a record. A longer one is cut when it is sent.
const (
	mostGroup    = 4096
	mostSite     = 255
	mostIncident = 128
	mostSource   = 1024
)

var errRecord = errors.New("the record of an overflow is damaged")

// nodeSet is a set of small node numbers, bit n of byte n/8.
type nodeSet [32]byte

func (s *nodeSet) has(n int) bool { return n >= 0 && n < 256 && s[n/8]&(1<<(n%8)) != 0 }

// beside reports whether a number other than own is in the set for which is says yes.
func (s *nodeSet) beside(own int, is func(n int) bool) bool {
	for n := range 256 {
		if n != own && s.has(n) && is(n) {
			return true
		}
	}
	return false
}

func (s *nodeSet) add(n int) {
	if n >= 0 && n < 256 {
		s[n/8] |= 1 << (n % 8)
	}
}

// append appends the packed form, texts cut to their limits.
func (r *record) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(append(b, recordVersion), r.owner[:]...)
	b = le.AppendUint64(b, uint64(r.stamp))
	b = append(b, r.flags, r.depth)
	b = append(append(b, r.scenario[:]...), r.key[:]...)
	for _, t := range [...]int64{r.gen, r.first, r.last, r.at} {
		b = le.AppendUint64(b, uint64(t))
	}
	b = append(le.AppendUint32(b, r.count), r.nodes[:]...)
	b = appendShort(b, r.group, mostGroup)
	b = appendShort(b, r.site, mostSite)
	b = appendShort(b, r.incident, mostIncident)
	return appendShort(b, r.source, mostSource)
}

// appendShort appends a text with its length in front.
func appendShort[T string | []byte](b []byte, s T, most int) []byte {
	s = s[:min(len(s), most)]
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

// decodeRecord reads a packed record, of which it keeps nothing. The bytes come
// from Redis and may be anything.
func decodeRecord(b []byte) (record, error) {
	var r record
	if len(b) < recordHead {
		return r, errRecord
	}
	if b[0] != recordVersion {
		return r, fmt.Errorf("the record of an overflow has format %d, this version reads %d", b[0], recordVersion)
	}
	le := binary.LittleEndian
	copy(r.owner[:], b[1:])
	r.stamp = int64(le.Uint64(b[9:]))
	r.flags, r.depth = b[17], b[18]
	copy(r.scenario[:], b[19:])
	copy(r.key[:], b[35:])
	for i, t := range [...]*int64{&r.gen, &r.first, &r.last, &r.at} {
		*t = int64(le.Uint64(b[51+8*i:]))
	}
	r.count = le.Uint32(b[83:])
	copy(r.nodes[:], b[87:])
	rest := b[recordHead:]
	ok := true
	text := func(most int) string {
		if len(rest) < 2 {
			ok = false
			return ""
		}
		n := int(le.Uint16(rest))
		if n > most || n > len(rest)-2 {
			ok = false
			return ""
		}
		s := rest[2 : 2+n]
		rest = rest[2+n:]
		return string(s)
	}
	r.group, r.site, r.incident = text(mostGroup), text(mostSite), text(mostIncident)
	r.source = []byte(text(mostSource))
	if !ok || len(rest) > 0 || r.count == 0 || !soundInstant(r.first) || !soundInstant(r.last) || !soundInstant(r.at) {
		return record{}, errRecord
	}
	for _, s := range []*string{&r.group, &r.site, &r.incident} {
		*s = strings.ToValidUTF8(*s, "")
	}
	return r, nil
}

// lastInstant is the end of the year 2199 in µs: what is outside is no instant of
// an event.
const lastInstant = 7_258_118_400_000_000

// soundInstant reports whether t in µs can be that of an event.
func soundInstant(t int64) bool { return t >= 0 && t <= lastInstant }
