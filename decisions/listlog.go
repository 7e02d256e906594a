package decisions

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"sync"
	"time"
)

const (
	// stepBucket has the steps of lists that are remembered, by when they were.
	stepBucket   = "liststeps"
	listsLostKey = "lists_lost"
	allowedKey   = "lists_allowed"

	// maxStepEntries bounds the entries in steps that are remembered; each step counts
	// as some more. The latest stays whatever its size, which is that of a list.
	maxStepEntries = 1 << 20
	stepWeight     = 16
)

// listStep is one change of what is told of lists; immutable.
type listStep struct {
	cursor, at     int64 // at in Unix milliseconds
	serial         int64 // tells steps of an instant apart, on disk
	head           ListHead
	whole          bool       // all of the list is told
	added, removed *Blocklist // nil: none
}

// listlog has the latest steps, oldest first, and what was told of each list that
// subscribers know of. Its own lock is the last to be taken; whoever changes it holds
// the Book's write lock as well, apart from when the Book is opened.
type listlog struct {
	mu      sync.RWMutex
	epoch   int64
	seq     int64
	serial  int64
	steps   []listStep
	entries int // in steps, with their weight
	floor   int64
	lost    int64 // when the latest step was that is forgotten, Unix milliseconds
	told    map[string]*toldList
	allowed []netip.Prefix // what was taken to be allowed, sorted, none inside another
}

func (g *listlog) last() int64 { return g.epoch<<seqBits | g.seq }

// begin starts an epoch.
func (g *listlog) begin(epoch int64) {
	g.epoch, g.seq = epoch, tooOld+1
	g.floor = epoch << seqBits
	g.told = map[string]*toldList{}
}

// since returns the steps after a cursor and the last cursor; ok is false for one that
// is of another epoch, or before what is remembered.
func (g *listlog) since(cursor int64) (steps []listStep, last int64, ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if cursor < g.floor || cursor == g.epoch<<seqBits|tooOld || cursor > g.last() {
		return nil, g.last(), false
	}
	i := sort.Search(len(g.steps), func(i int) bool { return g.steps[i].cursor > cursor })
	return g.steps[i:len(g.steps):len(g.steps)], g.last(), true
}

// cursorAt is Book.ListsCursorAt.
func (g *listlog) cursorAt(ms int64) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if ms < g.lost {
		return g.epoch<<seqBits | tooOld
	}
	i := sort.Search(len(g.steps), func(i int) bool { return g.steps[i].at >= ms })
	if i == len(g.steps) {
		return g.last()
	}
	return g.steps[i].cursor - 1
}

// show notes that somebody is told entries of a list in force with an end that they
// were not told with when they came, and tells when its latest
// step was, as far as is known.
func (g *listlog) show(l *Blocklist) (changed time.Time) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	t := g.told[l.Name]
	if t == nil {
		return l.Created
	}
	t.shown.Store(true)
	if t.changed == 0 {
		return l.Created
	}
	return timeOf(t.changed)
}

// note makes s the latest step, and returns what the disk hears of it. The caller holds
// mu.
func (g *listlog) note(s listStep, now int64) (writes []op) {
	s.at = now
	if n := len(g.steps); n > 0 {
		s.at = max(s.at, g.steps[n-1].at)
	}
	g.serial++
	s.serial = g.serial
	g.append(s)
	if t := g.told[s.head.Name]; t != nil {
		t.changed = s.at
	}
	writes = append(writes, op{bucket: stepBucket, key: endKey(s.at, s.serial), value: s.encode()})
	return append(writes, g.forget(now)...)
}

func (g *listlog) append(s listStep) {
	g.seq++
	s.cursor = g.last()
	g.steps = append(g.steps, s)
	g.entries += s.weight()
}

func (s *listStep) weight() int {
	n := stepWeight
	for _, l := range []*Blocklist{s.added, s.removed} {
		if l != nil {
			n += l.Len()
		}
	}
	return n
}

// forget drops the steps that are old, and those that are too many. The caller holds
// mu.
func (g *listlog) forget(now int64) (writes []op) {
	n := 0
	for n < len(g.steps) {
		s := &g.steps[n]
		if s.at > now-linger.Milliseconds() && (g.entries <= maxStepEntries || n == len(g.steps)-1) {
			break
		}
		g.floor, g.lost = s.cursor, s.at+1
		g.entries -= s.weight()
		writes = append(writes, op{bucket: stepBucket, key: endKey(s.at, s.serial)})
		n++
	}
	if n == 0 {
		return nil
	}
	// Readers may have the old array.
	g.steps = append([]listStep(nil), g.steps[n:]...)
	return append(writes, op{bucket: metaBucket, key: listsLostKey, value: be64(g.lost)})
}

// The parts of a step on disk: its head as a list without entries, and the lists of
// what was added and removed. Each is behind its length.
func (s *listStep) encode() []byte {
	out := []byte{0}
	if s.whole {
		out[0] = 1
	}
	for _, l := range []*Blocklist{{ListHead: s.head}, s.added, s.removed} {
		var code []byte
		if l != nil {
			code = l.Encode()
		}
		out = append(binary.AppendUvarint(out, uint64(len(code))), code...)
	}
	return out
}

func decodeStep(key string, value []byte) (s listStep, err error) {
	if len(key) != 16 || len(value) == 0 {
		return s, errListCode
	}
	s.at, s.serial = int64(binary.BigEndian.Uint64([]byte(key[:8]))), int64(binary.BigEndian.Uint64([]byte(key[8:])))
	s.whole, value = value[0] == 1, value[1:]
	var parts [3]*Blocklist
	for i := range parts {
		n, width := binary.Uvarint(value)
		if width <= 0 || n > uint64(len(value)-width) {
			return s, errListCode
		}
		code := value[width : width+int(n)]
		value = value[width+int(n):]
		if len(code) == 0 {
			continue
		}
		if parts[i], err = DecodeBlocklist(code); err != nil {
			return s, err
		}
	}
	if parts[0] == nil || len(value) > 0 {
		return s, fmt.Errorf("%w: a step of one", errListCode)
	}
	s.head, s.added, s.removed = parts[0].ListHead, parts[1], parts[2]
	return s, nil
}
