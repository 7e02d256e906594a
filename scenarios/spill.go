package scenarios

import (
	"math"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Spill is what the keeper tells of a bucket that overflowed. All of it may have come
// over a network: numbers that cannot be are made ones that can, bytes that cannot be
// read are left out.
type Spill struct {
	ID              string // tells this overflow from all others; see Overflow.ID
	Scenario        *Scenario
	Group           string
	First, Last, At int64 // µs since 1970
	Count           int
	Direct, Detect  bool
	Width64         bool
	Site, Incident  string
	Depth           int
	Samples         [][]byte // the newest, oldest first: as many as the keeper could get
	Source          []byte   // of the overflowing event; counts where no sample has one
	Sourceless      error
}

// mostDepth is how deep an overflow can be; see event.Provenance.
const mostDepth = 255

// Conclude makes the Overflow, whatever the overflow filter says: Passes asks that.
func (r *Remote) Conclude(sp *Spill) *Overflow {
	b := burst{
		scenario: sp.Scenario, key: sp.Group, first: nanos(sp.First), last: nanos(sp.Last), at: nanos(sp.At),
		count: uint32(min(max(sp.Count, 1), math.MaxUint32)), zone: time.UTC, direct: sp.Direct, detect: sp.Detect,
		width: sp.Width64, site: sp.Site, incident: sp.Incident, depth: min(max(sp.Depth, 0), mostDepth),
		sourceless: sp.Sourceless,
	}
	o := b.overflow(r.said.Load())
	o.ID = sp.ID
	list := sp.Samples[max(0, len(sp.Samples)-sp.Scenario.keep):]
	o.Samples = make([]Sample, 0, len(list))
	for _, body := range list {
		if s, ok := sp.Scenario.foreign(body); ok {
			o.Samples = append(o.Samples, s)
		}
	}
	o.spare = sp.Scenario.spare(sp.Source)
	return o
}

// Passes asks the overflow filter; true where there is none. CrowdSec compatible: one
// that fails lets the overflow pass.
func (r *Remote) Passes(o *Overflow) bool {
	if o.Scenario.overflowFilter == nil {
		return true
	}
	ok, err := o.passes()
	if err != nil {
		r.fault(o.Scenario, 1, err)
	}
	return ok
}

// foreign reads a sample that another node may have sent. Sources that an event of s
// cannot have are left out.
func (s *Scenario) foreign(body []byte) (Sample, bool) {
	if len(body) > pageBytes {
		return Sample{}, false
	}
	out, ok := decodeSample(body)
	if !ok {
		return out, false
	}
	found := out.Others[:0]
	for i := range out.Others {
		if s.can(&out.Others[i]) {
			found = append(found, out.Others[i])
		}
	}
	out.Others = found
	if out.OK && !s.can(&out.Source) {
		out.Source, out.OK = event.Source{}, false
		if len(found) > 0 {
			out.Source, out.Others, out.OK = found[0], found[1:], true
		}
	}
	return out, true
}

// can reports whether src can be a source of an event of s.
func (s *Scenario) can(src *event.Source) bool {
	if src.Scope != s.Scope {
		return false
	}
	if s.Scope != ScopeIP {
		return true
	}
	_, err := netip.ParseAddr(src.Value)
	return err == nil
}

// spare reads what appendCompact wrote; nothing where it is damaged.
func (s *Scenario) spare(b []byte) []event.Source {
	if len(b) == 0 || len(b) > compactSource {
		return nil
	}
	r := reader{b: b, all: string(b)}
	var out []event.Source
	for range r.length(len(b)) {
		src := r.source()
		if r.bad {
			return nil
		}
		if src.Scope = s.Scope; s.can(&src) {
			out = append(out, src)
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil
	}
	return out
}
