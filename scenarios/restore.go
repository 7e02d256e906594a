package scenarios

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// ErrInUse says that Restore came after the first pour.
var ErrInUse = errors.New("buckets are restored before the first pour only")

// ErrDamaged says that a snapshot cannot be read to its end.
var ErrDamaged = errors.New("snapshot of buckets is damaged")

// Restore reads a snapshot into a Memory that nothing was poured into yet. Buckets
// of scenarios that are not among rules, by fingerprint, are dropped and counted.
// After an error the buckets that were kept so far stay.
func (m *Memory) Restore(r io.Reader, rules *Rules) (kept, dropped int, err error) {
	if s := m.Stats(); s.Poured > 0 || s.Buckets > 0 || s.Blackholes > 0 {
		return 0, 0, ErrInUse
	}
	in := bufio.NewReader(r)
	head, err := readSection(in)
	if err != nil {
		return 0, 0, err
	}
	slots, err := m.readHead(head, rules)
	if err != nil {
		return 0, 0, err
	}
	now := uint32(max(m.now().Unix(), 0))
	for {
		b, err := readSection(in)
		if err != nil || len(b) == 0 {
			return kept, dropped, err
		}
		for rd := (&reader{b: b}); len(rd.b) > 0; {
			ok, err := m.readEntry(rd, slots, now)
			switch {
			case err != nil:
				return kept, dropped, err
			case ok:
				kept++
			default:
				dropped++
			}
		}
	}
}

func damaged(what string) error { return fmt.Errorf("%w: %s", ErrDamaged, what) }

func readSection(in io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, damaged("it ends early")
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > sectionMost {
		return nil, damaged(fmt.Sprintf("section of %d bytes", n))
	}
	// Memory is taken as bytes arrive, not as the length promises.
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err != nil {
		return nil, fmt.Errorf("reading buckets: %w", err)
	}
	if len(b) != int(n) {
		return nil, damaged("it ends early")
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, damaged("wrong checksum")
	}
	return b, nil
}

// target is what a number in the snapshot means here; scenario is nil for one
// that is gone.
type target struct {
	slot     uint16
	scenario *Scenario
}

// readHead takes over the key and returns what each number means.
func (m *Memory) readHead(b []byte, rules *Rules) ([]target, error) {
	r := &reader{b: b}
	if string(r.take(len(snapshotMagic))) != snapshotMagic {
		return nil, damaged("it does not begin like one")
	}
	if v := r.byte(); v != snapshotVersion {
		return nil, fmt.Errorf("snapshot of buckets has version %d; this release reads %d", v, snapshotVersion)
	}
	key := hashKey{r.uint64(), r.uint64()}
	known := map[[16]byte]*Scenario{}
	for _, s := range rules.all {
		known[s.id] = s
	}
	slots := make([]target, 0, 64)
	for range r.length(math.MaxUint16 + 1) {
		var id [16]byte
		copy(id[:], r.take(len(id)))
		t := target{scenario: known[id]}
		if t.scenario != nil {
			n, ok := m.slot(t.scenario)
			if t.slot = n; !ok {
				t.scenario = nil
			}
		}
		slots = append(slots, t)
	}
	if r.bad || len(r.b) > 0 {
		return nil, damaged("head has a wrong length")
	}
	m.key.Store(&key)
	return slots, nil
}

// sound checks that the numbers can be those of an entry of s.
func (e *entry) sound(s *Scenario) bool {
	const known = used | filled | replay | late | direct | detect | watched | laned
	if e.flags&used == 0 || e.flags&^known != 0 {
		return false
	}
	most := latest.UnixNano()
	if e.hole != math.MinInt64 && e.hole < 0 {
		return false
	}
	for _, t := range [...]int64{e.last, e.first, e.touched} {
		if t < 0 || t > most {
			return false
		}
	}
	if e.flags&filled == 0 {
		return true
	}
	if s.Type == Trigger || e.count == 0 {
		return false
	}
	if s.Type != Leaky {
		return e.level == 0
	}
	if e.flags&replay != 0 {
		tokens := math.Float64frombits(e.level)
		// A number that is none fails both comparisons.
		return tokens > -1 && tokens <= s.leak.burst
	}
	return int64(e.level) >= 0 && int64(e.level) <= s.leak.full
}
