package community

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"
)

const (
	endingBytes = 16 + 1 + 4
	maxEndings  = 4 << 20 // as many as a list takes
)

// ending is an entry of the community list with its own end: 24 bytes.
type ending struct {
	addr [16]byte // IPv4 as mapped
	bits uint8    // of it
	end  uint32   // Unix seconds
}

func newEnding(p netip.Prefix, end time.Time) ending {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return ending{p.Addr().As16(), uint8(bits), uint32(min(max(end.Unix(), 0), math.MaxUint32))}
}

func (e *ending) prefix() netip.Prefix {
	a := netip.AddrFrom16(e.addr)
	if a.Is4In6() && e.bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), int(e.bits)-96)
	}
	return netip.PrefixFrom(a, int(e.bits))
}

// endings are entries in order, each prefix once: what a list holds, and what it would
// hold if ranges around it were not there. Nobody changes them.
type endings []ending

// over reports whether the end of some entry has come.
func (t endings) over(now time.Time) bool {
	at := uint32(now.Unix())
	return slices.ContainsFunc(t, func(e ending) bool { return e.end <= at })
}

// last is the latest end, zero if there are no entries.
func (t endings) last() time.Time {
	if len(t) == 0 {
		return time.Time{}
	}
	end := slices.MaxFunc(t, func(x, y ending) int { return cmp.Compare(x.end, y.end) }).end
	return time.Unix(int64(end), 0).UTC()
}

// with returns the entries without those that are over or gone, and with fresh ones in
// place of those of the same prefixes: of fresh ones the longest. It may reorder fresh.
func (t endings) with(gone map[netip.Prefix]bool, fresh []ending, now time.Time) endings {
	at := uint32(now.Unix())
	slices.SortFunc(fresh, func(x, y ending) int { return cmp.Or(x.compare(&y), cmp.Compare(y.end, x.end)) })
	fresh = slices.CompactFunc(fresh, func(x, y ending) bool { return x.compare(&y) == 0 })
	out := make(endings, 0, len(t)+len(fresh))
	take := func(e ending) {
		if e.end > at {
			out = append(out, e)
		}
	}
	for _, e := range t {
		for len(fresh) > 0 && fresh[0].compare(&e) < 0 {
			take(fresh[0])
			fresh = fresh[1:]
		}
		if len(fresh) > 0 && fresh[0].compare(&e) == 0 {
			continue // the fresh one comes in its turn
		}
		if len(gone) == 0 || !gone[e.prefix()] {
			take(e)
		}
	}
	for _, e := range fresh {
		take(e)
	}
	return out
}

func (e *ending) compare(o *ending) int {
	return cmp.Or(bytes.Compare(e.addr[:], o.addr[:]), cmp.Compare(e.bits, o.bits))
}

// prefixes are those of the entries.
func (t endings) prefixes() []netip.Prefix {
	out := make([]netip.Prefix, len(t))
	for i := range t {
		out[i] = t[i].prefix()
	}
	return out
}

// encode writes them for the database.
func (t endings) encode() []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed) // the level is one that there is
	var b [endingBytes]byte
	for i := range t {
		e := &t[i]
		copy(b[:], e.addr[:])
		b[16] = e.bits
		binary.BigEndian.PutUint32(b[17:], e.end)
		_, _ = w.Write(b[:]) // a buffer takes everything
	}
	_ = w.Close()
	return out.Bytes()
}

// decodeEndings reads what encode wrote, and nothing else.
func decodeEndings(data []byte) (endings, error) {
	plain, err := io.ReadAll(newBounded(flate.NewReader(bytes.NewReader(data)), maxEndings*endingBytes))
	if err == nil && len(plain)%endingBytes != 0 {
		err = errors.New("cut off")
	}
	out := make(endings, 0, len(plain)/endingBytes)
	for b := plain; err == nil && len(b) > 0; b = b[endingBytes:] {
		e := ending{addr: [16]byte(b), bits: b[16], end: binary.BigEndian.Uint32(b[17:])}
		if e.bits > 128 || len(out) > 0 && out[len(out)-1].compare(&e) >= 0 {
			err = errors.New("out of order")
		}
		out = append(out, e)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ends of the community list: %w", err)
	}
	return out, nil
}
