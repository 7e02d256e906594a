package decisions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// listOrigin is what the origin of a list's decisions begins with. CrowdSec
// compatible: people and bouncers know lists as "lists:NAME".
const listOrigin = "lists:"

const (
	maxListName    = 64
	maxListEntries = 4 << 20
)

// ListHead is what a list says of all its entries.
type ListHead struct {
	Name     string // letters, digits, and . _ - in between
	Type     string // of its decisions: ban, captcha…
	Scenario string // "": the name
	Created  time.Time
	Until    time.Time
	// Version tells one state of the list from another and grows; 0: Created in
	// milliseconds.
	Version int64
	// Base is the decision ID of the first entry, the others follow; 0: none yet.
	Base int64
	// From is the origin of the list's decisions, "" for that of its name.
	From string
	// Simulated: the list is listed and announced, and enforced nowhere on this node.
	// It is not part of the list's bytes: the Book sets it (SimulateLists).
	Simulated bool
}

// Origin is that of the list's decisions.
func (h *ListHead) Origin() string {
	if h.From != "" {
		return h.From
	}
	return listOrigin + h.Name
}

// alike reports whether entries of both are decided about alike: for whoever knows of
// the one, the other is a later state.
func (h *ListHead) alike(o *ListHead) bool {
	return h.Name == o.Name && h.Type == o.Type && h.Origin() == o.Origin()
}

// ListOf returns the name of the list that an origin is of.
func ListOf(origin string) (name string, ok bool) { return strings.CutPrefix(origin, listOrigin) }

// normalise checks the head and fills in what was left out.
func (h *ListHead) normalise() error {
	if err := CheckListName(h.Name); err != nil {
		return err
	}
	d := Decision{Type: h.Type}
	if err := normaliseType(&d); err != nil {
		return fmt.Errorf("list %s: %w", h.Name, err)
	}
	h.Type = d.Type
	if h.Scenario == "" {
		h.Scenario = h.Name
	}
	if err := checkText("scenario", h.Scenario, maxText); err != nil {
		return fmt.Errorf("list %s: %w", h.Name, err)
	}
	if err := h.normaliseFrom(); err != nil {
		return fmt.Errorf("list %s: %w", h.Name, err)
	}
	h.Created, h.Until = wholeMillis(h.Created), wholeMillis(h.Until)
	if h.Created.UnixMilli() < 0 || h.Until.UnixMilli() > maxMillis || !h.Until.After(h.Created) {
		return fmt.Errorf("list %s: expected an end after its beginning, found %s and %s", h.Name,
			h.Until.Format(time.RFC3339), h.Created.Format(time.RFC3339))
	}
	if h.Version == 0 {
		h.Version = h.Created.UnixMilli()
	}
	if h.Version < 0 || h.Base < 0 || h.Base > maxDecision-maxListEntries {
		return fmt.Errorf("list %s: version %d and first id %d: out of range", h.Name, h.Version, h.Base)
	}
	return nil
}

func (h *ListHead) normaliseFrom() error {
	switch name, ok := ListOf(h.From); {
	case h.From == "":
		return nil
	case ok && name == h.Name:
		h.From = ""
		return nil
	case ok:
		return fmt.Errorf("origin %.80q is that of another list", h.From)
	}
	return checkText("origin", h.From, maxText)
}

// CheckListName says what is wrong with the name of a list.
func CheckListName(name string) error {
	ok := name != "" && len(name) <= maxListName
	for i, c := range []byte(name) {
		letter := isLetter(c) || c >= '0' && c <= '9'
		ok = ok && (letter || i > 0 && (c == '.' || c == '_' || c == '-'))
	}
	if !ok {
		return fmt.Errorf("list name %.80q: expected letters, digits, dots, dashes and underscores, at most %d, a letter or digit first",
			name, maxListName)
	}
	return nil
}

// Blocklist is one state of a large list of addresses and ranges that the same is
// decided about: sorted, without overlaps, four bytes for an IPv4 address. It is
// immutable, its head included, and safe for concurrent use.
//
// Entries have an index: IPv4 addresses in their order, then IPv4 ranges, then
// IPv6.
type Blocklist struct {
	ListHead
	v4   sorted4
	nets sorted4
	bits []uint8 // of nets
	v6   []prefix6
}

// prefix6 is an IPv6 prefix.
type prefix6 struct {
	hi, lo uint64
	bits   uint8
}

// NewBlocklist makes a list. Duplicates, what a range of the list covers and what is
// too wide are left out, and named or counted in the report; an error is about the
// head, or more than 4,194,304 entries.
func NewBlocklist(h ListHead, prefixes []netip.Prefix) (*Blocklist, ListReport, error) {
	var b listBuilder
	if err := h.normalise(); err != nil {
		return nil, b.report, err
	}
	for _, p := range prefixes {
		if err := b.add(p); errors.Is(err, errListFull) {
			return nil, b.report, fmt.Errorf("list %s: %w", h.Name, err)
		} else if err != nil {
			b.report.refuse(err)
		}
	}
	l := b.finish(h)
	return l, b.report, nil
}

// based returns the list with the ID of its first entry.
func (l *Blocklist) based(base int64) *Blocklist {
	next := *l
	next.Base = base
	return &next
}

// Len returns how many entries there are.
func (l *Blocklist) Len() int { return len(l.v4.keys) + len(l.nets.keys) + len(l.v6) }

// Kinds tells how many entries are IPv4 addresses, IPv4 ranges, and IPv6.
func (l *Blocklist) Kinds() (addresses4, ranges4, all6 int) {
	return len(l.v4.keys), len(l.nets.keys), len(l.v6)
}

// All are the entries by index.
func (l *Blocklist) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for i := range l.Len() {
			if !yield(l.At(i)) {
				return
			}
		}
	}
}

// At returns the entry with an index, in normal form; an address is its own
// full-length prefix. The index must be within Len.
func (l *Blocklist) At(i int) netip.Prefix {
	if i < len(l.v4.keys) {
		return prefix4(l.v4.keys[i], 32)
	}
	if i -= len(l.v4.keys); i < len(l.nets.keys) {
		return prefix4(l.nets.keys[i], l.bits[i])
	}
	return l.v6[i-len(l.nets.keys)].prefix()
}

// Find returns the index of the entry that covers a; there is one at most. It
// allocates nothing.
func (l *Blocklist) Find(a netip.Addr) (index int, ok bool) {
	if !a.IsValid() {
		return 0, false
	}
	return l.find(plain(a))
}

// find is Find for a plain address.
func (l *Blocklist) find(a netip.Addr) (int, bool) {
	if a.Is4() {
		return l.find4(key4(a))
	}
	hi, lo := halves(a)
	if i := l.floor6(hi, lo); i >= 0 && l.v6[i].covers(hi, lo) {
		return len(l.v4.keys) + len(l.nets.keys) + i, true
	}
	return 0, false
}

func (l *Blocklist) find4(key uint32) (int, bool) {
	if i := l.v4.floor(key); i >= 0 && l.v4.keys[i] == key {
		return i, true
	}
	if i := l.nets.floor(key); i >= 0 && (key^l.nets.keys[i])>>(32-l.bits[i]) == 0 {
		return len(l.v4.keys) + i, true
	}
	return 0, false
}

// Index returns the index of exactly this entry.
func (l *Blocklist) Index(p netip.Prefix) (int, bool) {
	if !p.IsValid() {
		return 0, false
	}
	p = plainPrefix(p)
	i, ok := l.find(p.Addr())
	return i, ok && l.At(i) == p
}

// floor6 returns the index of the last IPv6 entry that does not begin after an
// address, -1 if there is none.
func (l *Blocklist) floor6(hi, lo uint64) int {
	from, to := 0, len(l.v6)
	for from < to {
		m := int(uint(from+to) >> 1)
		if e := &l.v6[m]; e.hi < hi || e.hi == hi && e.lo <= lo {
			from = m + 1
		} else {
			to = m
		}
	}
	return from - 1
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func prefix4(key uint32, bits uint8) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], key)
	return netip.PrefixFrom(netip.AddrFrom4(b), int(bits))
}

func (p *prefix6) prefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	return netip.PrefixFrom(netip.AddrFrom16(b), int(p.bits))
}

func (p *prefix6) before(hi, lo uint64) bool { return p.hi < hi || p.hi == hi && p.lo < lo }

func (p *prefix6) covers(hi, lo uint64) bool {
	if p.bits <= 64 {
		return (p.hi^hi)>>(64-p.bits) == 0
	}
	return p.hi == hi && (p.lo^lo)>>(128-p.bits) == 0
}

// sorted4 are IPv4 addresses in order. The address space is cut into equal parts, as
// many as make a part short, and heads tells where each begins: a search looks at
// one line of memory there and at one or two here.
type sorted4 struct {
	keys  []uint32
	heads []uint32 // of part p: keys[heads[p]:heads[p+1]]
	shift uint8    // of an address, to its part
}

func newSorted4(keys []uint32) sorted4 {
	if len(keys) == 0 {
		return sorted4{}
	}
	width := min(max(bits.Len(uint(len(keys)))-4, 0), 16)
	s := sorted4{keys: keys, shift: uint8(32 - width), heads: make([]uint32, 1<<width+1)}
	part := 0
	for i, k := range keys {
		for ; part <= int(k>>s.shift); part++ {
			s.heads[part] = uint32(i)
		}
	}
	for ; part < len(s.heads); part++ {
		s.heads[part] = uint32(len(keys))
	}
	return s
}

// floor returns the index of the last key that is not above an address, -1 if there
// is none.
func (s *sorted4) floor(key uint32) int {
	if len(s.keys) == 0 {
		return -1
	}
	part := key >> s.shift
	from, to := s.heads[part], s.heads[part+1]
	for from < to {
		m := (from + to) >> 1
		if s.keys[m] <= key {
			from = m + 1
		} else {
			to = m
		}
	}
	return int(from) - 1
}
