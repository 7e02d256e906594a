package firewall

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	// grace keeps an entry after its end, until the kernel, which rounds and
	// counts from its own clock, has surely dropped the element.
	grace = 2 * time.Second
	// maxRefs bounds the bans behind one entry: one client with a /64 has more
	// addresses than anybody has memory.
	maxRefs = 16
)

// key is a masked prefix without pointers, so that the collector need not look
// into a map of a million.
type key struct {
	hi, lo uint64 // IPv4: the low half of lo
	width
}

// entry is what a map element holds: the longest of the bans behind it.
type entry struct {
	until  int64 // Unix nanoseconds; 0 in the zero entry, which stands for none
	origin uint16
}

// ref is one ban behind an entry.
type ref struct {
	source key
	entry
}

// mirror holds what should be in the maps. It is not safe for concurrent use.
type mirror struct {
	max     int
	entries map[key]entry
	// refs has the bans behind an entry unless it is a single one of the very
	// prefix, which is the common case.
	refs   map[key][]ref
	widths map[width]int // entries of that width
	queue  expiry
	// before, if not nil, notes each entry as it was when first touched.
	before  map[key]entry
	evicted int64
}

// newMirror returns an empty mirror for about expect entries, at most maxEntries.
func newMirror(maxEntries, expect int) *mirror {
	expect = min(expect, maxEntries)
	return &mirror{
		max:     maxEntries,
		entries: make(map[key]entry, expect),
		queue:   make(expiry, 0, expect),
		refs:    make(map[key][]ref),
		widths:  make(map[width]int),
	}
}

// keyOf returns the key of a canonical prefix.
func keyOf(p netip.Prefix) key {
	k := key{width: width{v6: p.Addr().Is6(), bits: uint8(p.Bits())}}
	if k.v6 {
		b := p.Addr().As16()
		k.hi, k.lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		return k
	}
	b := p.Addr().As4()
	k.lo = uint64(binary.BigEndian.Uint32(b[:]))
	return k
}

// append appends the address in network order.
func (k key) append(b []byte) []byte {
	if !k.v6 {
		return binary.BigEndian.AppendUint32(b, uint32(k.lo))
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, k.hi), k.lo)
}

func (k key) prefix() netip.Prefix {
	addr, _ := netip.AddrFromSlice(k.append(make([]byte, 0, 16)))
	return netip.PrefixFrom(addr, int(k.bits))
}

// instant turns t into nanoseconds, held within what an int64 can hold: Unix
// seconds of 2200 are far beyond the kernel's longest time-out.
func instant(t time.Time) int64 {
	const last = 7258118400 // 2200-01-01
	if t.Unix() >= last {
		return last * int64(time.Second)
	}
	if t.Unix() < 0 {
		return 0
	}
	return t.UnixNano()
}

// put adds the ban r to the entry of target: it can lengthen the entry, never
// shorten it. It reports false if the mirror is full of longer ones.
func (m *mirror) put(target key, r ref, now int64) bool {
	e, ok := m.entries[target]
	if !ok {
		if !m.room(r.until, now) {
			return false
		}
		if r.source == target {
			m.note(target, e)
			m.write(target, r.entry, false)
			return true
		}
	}
	refs := slices.DeleteFunc(slices.Clone(m.behind(target)), func(o ref) bool { return o.until <= now })
	same := slices.IndexFunc(refs, func(o ref) bool { return o.source == r.source && o.origin == r.origin })
	switch {
	case same < 0:
		refs = append(refs, r)
	case refs[same].until >= r.until:
		return true
	default:
		refs[same] = r
	}
	if len(refs) > maxRefs {
		least := 0
		for i := range refs {
			if refs[i].until < refs[least].until {
				least = i
			}
		}
		refs = slices.Delete(refs, least, least+1)
	}
	m.store(target, refs)
	return true
}

// remove takes all bans of source away from the entry of target. The prefix of
// an entry that no ban names as such, as lists show it, stands for all behind.
func (m *mirror) remove(source, target key, now int64) {
	refs := slices.DeleteFunc(slices.Clone(m.behind(target)), func(o ref) bool { return o.until <= now })
	rest := slices.DeleteFunc(slices.Clone(refs), func(o ref) bool { return o.source == source })
	if len(rest) == len(refs) && source == target {
		rest = nil
	}
	if len(rest) < len(refs) {
		m.store(target, rest)
	}
}

// behind returns the bans behind an entry; not to be changed.
func (m *mirror) behind(target key) []ref {
	if refs, ok := m.refs[target]; ok {
		return refs
	}
	if e, ok := m.entries[target]; ok {
		return []ref{{source: target, entry: e}}
	}
	return nil
}

// store makes refs the bans behind target; none removes the entry.
func (m *mirror) store(target key, refs []ref) {
	was, ok := m.entries[target]
	m.note(target, was)
	if len(refs) == 0 {
		m.drop(target)
		return
	}
	longest := refs[0]
	for _, r := range refs[1:] {
		if r.until > longest.until {
			longest = r
		}
	}
	if len(refs) == 1 && longest.source == target {
		delete(m.refs, target)
	} else {
		m.refs[target] = refs
	}
	m.write(target, longest.entry, ok && was.until == longest.until)
}

// write sets the entry; queued says that its end is in the queue already.
func (m *mirror) write(target key, e entry, queued bool) {
	before := len(m.entries)
	m.entries[target] = e
	if len(m.entries) > before {
		m.widths[target.width]++
	}
	if queued {
		return
	}
	m.queue.push(due{e.until, target})
	if len(m.queue) > 2*len(m.entries)+1024 {
		m.queue = m.queue[:0]
		for k, e := range m.entries {
			m.queue = append(m.queue, due{e.until, k})
		}
		m.queue.order()
	}
}

// drop forgets the entry.
func (m *mirror) drop(target key) {
	if _, ok := m.entries[target]; !ok {
		return
	}
	delete(m.entries, target)
	delete(m.refs, target)
	if m.widths[target.width]--; m.widths[target.width] == 0 {
		delete(m.widths, target.width)
	}
}

// note remembers the entry as it was before the first change.
func (m *mirror) note(target key, was entry) {
	if m.before == nil {
		return
	}
	if _, ok := m.before[target]; !ok {
		m.before[target] = was
	}
}

// room makes room for one more entry that ends at until, at the cost of the one
// that ends first. It reports false if that would be the new one.
func (m *mirror) room(until, now int64) bool {
	if len(m.entries) < m.max {
		return true
	}
	for len(m.queue) > 0 {
		first := m.queue[0]
		e, ok := m.entries[first.key]
		if ok && e.until == first.until {
			if first.until >= until {
				break
			}
			if e.until > now {
				m.evicted++
			}
			m.queue.pop()
			m.note(first.key, e)
			m.drop(first.key)
			return true
		}
		m.queue.pop()
	}
	m.evicted++
	return false
}

// expire forgets the entries that have ended. The kernel does so by itself.
func (m *mirror) expire(now int64) {
	for len(m.queue) > 0 && m.queue[0].until+int64(grace) <= now {
		d := m.queue.pop()
		if e, ok := m.entries[d.key]; ok && e.until == d.until {
			m.drop(d.key)
		}
	}
}

// live counts the entries that have not ended. Entries in their grace are few
// and on top of the queue, but the queue is no sorted list: all are counted and
// the ended ones, found by walking down from the top, taken off.
func (m *mirror) live(now int64) int {
	ended := make(map[key]struct{})
	var walk func(i int)
	walk = func(i int) {
		if i >= len(m.queue) || m.queue[i].until > now {
			return
		}
		if e, ok := m.entries[m.queue[i].key]; ok && e.until <= now {
			ended[m.queue[i].key] = struct{}{}
		}
		walk(2*i + 1)
		walk(2*i + 2)
	}
	walk(0)
	return len(m.entries) - len(ended)
}

// find returns the most specific live entry that covers a, which is not in
// IPv4-mapped form.
func (m *mirror) find(a netip.Addr, now int64) (key, entry, bool) {
	var (
		best  key
		found entry
		ok    bool
	)
	for w := range m.widths {
		if w.v6 != a.Is6() || ok && w.bits < best.bits {
			continue
		}
		k := keyOf(netip.PrefixFrom(a, int(w.bits)).Masked())
		if e, hit := m.entries[k]; hit && e.until > now {
			best, found, ok = k, e, true
		}
	}
	return best, found, ok
}
