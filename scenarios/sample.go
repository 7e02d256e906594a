package scenarios

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Sample is what is kept of an event that was poured.
type Sample struct {
	Time      time.Time
	Timestamp string // as the log has it; RFC 3339 with nanoseconds
	Meta      event.Meta
	Source    event.Source
	// Others are further sources: only an overflow that is poured again has them.
	Others []event.Source
	OK     bool // Source was found

	contextID uint32 // of the Contexts that context is for
	context   []contextValue
}

// A sample's body is what appendEvent wrote, followed by what appendSources wrote.
// The first half is the same for all scenarios that an event is poured for.
//
//	time int64 · zone int32 · timestamp · items · (key · value)… · context │ sources · source…
//
// Texts and numbers of things are preceded by their length as varints.

const (
	maxBody  = 16 << 10
	maxItems = 256
)

// cuts are the lengths to which values are shortened until a body fits.
var cuts = [...]int{4096, 1024, 256, 64}

// appendEvent appends the event half, with what c needs of it, at most limit bytes;
// nothing when even short values do not fit.
func appendEvent(b []byte, ev *event.Event, at time.Time, c *Contexts, limit int) []byte {
	limit = min(limit, maxBody)
	start := len(b)
	if !ev.Time.IsZero() {
		at = ev.Time
	}
	for _, cut := range cuts {
		b = appendCut(b[:start], ev, at, c, cut)
		if len(b)-start <= limit {
			return b
		}
	}
	return b[:start]
}

func appendCut(b []byte, ev *event.Event, at time.Time, c *Contexts, cut int) []byte {
	_, zone := at.Zone()
	b = binary.LittleEndian.AppendUint64(b, uint64(instant(at)))
	b = binary.LittleEndian.AppendUint32(b, uint32(int32(zone)))
	b = appendText(b, ev.MarshaledTime, cut)
	n := min(len(ev.Meta), maxItems)
	b = binary.AppendUvarint(b, uint64(n))
	for k, v := range ev.Meta {
		if n == 0 {
			break
		}
		n--
		if len(k) < 0x80 && len(v) < 0x80 && cut > 0x80 { // as appendText does it, in one go
			b = append(b, byte(len(k)))
			b = append(b, k...)
			b = append(b, byte(len(v)))
			b = append(b, v...)
			continue
		}
		b = appendText(appendText(b, k, cut), v, cut)
	}
	return c.appendContext(b, ev, cut)
}

func appendText(b []byte, s string, cut int) []byte {
	if len(s) > cut {
		s = strings.ToValidUTF8(s[:cut], "")
	}
	if len(s) < 0x80 { // most are, and their varint is one byte
		return append(append(b, byte(len(s))), s...)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Bits of a source: which texts follow its value.
const (
	sourceIP = 1 << iota
	sourceValueIsIP
	sourceRange
	sourceAS
	sourceCountry
	sourcePlace
)

func appendSources(b []byte, list []event.Source) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = appendSource(b, &list[i])
	}
	return b
}

func appendSource(b []byte, s *event.Source) []byte {
	const cut = 1024
	var bits byte
	if s.IP != "" {
		bits |= sourceIP
		if s.Value == s.IP {
			bits |= sourceValueIsIP
		}
	}
	if s.Range != "" {
		bits |= sourceRange
	}
	if s.AsName != "" || s.AsNumber != "" {
		bits |= sourceAS
	}
	if s.Cn != "" {
		bits |= sourceCountry
	}
	if s.Latitude != 0 || s.Longitude != 0 {
		bits |= sourcePlace
	}
	b = append(b, bits)
	b = appendText(b, s.Scope, cut)
	if bits&sourceValueIsIP == 0 {
		b = appendText(b, s.Value, cut)
	}
	if bits&sourceIP != 0 {
		b = appendText(b, s.IP, cut)
	}
	if bits&sourceRange != 0 {
		b = appendText(b, s.Range, cut)
	}
	if bits&sourceAS != 0 {
		b = appendText(appendText(b, s.AsNumber, cut), s.AsName, cut)
	}
	if bits&sourceCountry != 0 {
		b = appendText(b, s.Cn, cut)
	}
	if bits&sourcePlace != 0 {
		b = appendFloat(appendFloat(b, s.Latitude), s.Longitude)
	}
	return b
}

// decodeSample reads a body, of which it keeps nothing; false means that it is
// damaged.
func decodeSample(body []byte) (Sample, bool) {
	r := reader{b: body, all: string(body)}
	var s Sample
	ns, zone := int64(r.uint64()), int32(r.uint32())
	s.Time = time.Unix(0, ns).In(zoneOf(int(zone)))
	if s.Timestamp = r.text(); s.Timestamp == "" {
		s.Timestamp = s.Time.Format(time.RFC3339Nano)
	}
	n := r.length(maxItems)
	s.Meta = make(event.Meta, 0, n)
	for range n {
		s.Meta = append(s.Meta, event.MetaItem{Key: r.text(), Value: r.text()})
	}
	sortMeta(s.Meta)
	r.context(&s)
	for i := range r.length(maxItems) {
		src := r.source()
		if i == 0 {
			s.Source, s.OK = src, true
		} else {
			s.Others = append(s.Others, src)
		}
	}
	return s, !r.bad
}

// sortMeta sorts by key.
func sortMeta(m event.Meta) {
	if len(m) > 24 {
		slices.SortFunc(m, func(a, b event.MetaItem) int { return strings.Compare(a.Key, b.Key) })
		return
	}
	for i := 1; i < len(m); i++ {
		it, at := m[i], i
		for ; at > 0 && it.Key < m[at-1].Key; at-- {
			m[at] = m[at-1]
		}
		m[at] = it
	}
}

func (r *reader) context(s *Sample) {
	n := r.length(maxItems)
	if n == 0 {
		return
	}
	s.contextID = r.uint32()
	for range n {
		s.context = append(s.context, contextValue{r.length(math.MaxInt32), r.text()})
		if r.bad {
			return
		}
	}
}

func zoneOf(offset int) *time.Location {
	if offset == 0 || offset < -24*3600 || offset > 24*3600 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

func (r *reader) source() event.Source {
	bits := r.byte()
	s := event.Source{Scope: r.text()}
	if bits&sourceValueIsIP == 0 {
		s.Value = r.text()
	}
	if bits&sourceIP != 0 {
		s.IP = r.text()
	}
	if bits&sourceValueIsIP != 0 {
		s.Value = s.IP
	}
	if bits&sourceRange != 0 {
		s.Range = r.text()
	}
	if bits&sourceAS != 0 {
		s.AsNumber, s.AsName = r.text(), r.text()
	}
	if bits&sourceCountry != 0 {
		s.Cn = r.text()
	}
	if bits&sourcePlace != 0 {
		s.Latitude, s.Longitude = r.degrees(), r.degrees()
	}
	return s
}
