package scenarios

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A snapshot is a head and sections, each with its length and checksum; one of
// length zero ends it. The head has the key of hashes and the fingerprints that
// buckets refer to by number; the other sections have entries:
//
//	head    magic · version · key 16 · count · fingerprint 16…
//	section length uint32 · CRC-32C uint32 · entries
//	entry   key 16 · slot 2 · flags 2 · level, last, first, touched, hole 8 each ·
//	        count 4 · oldest · values · value 8… · side · samples · (length · body)…
//	side    parts 1 · tripped 8 · events · (time 8 · zone 2 · holds 2 · fields)… ·
//	        key · site · last 8 · zone 4 · depth 1 · width 1 · body
//
// A part of a side is there if its bit in parts is set.
const (
	snapshotMagic   = "RPBUCKET"
	snapshotVersion = 2
	sectionGoal     = 1 << 20 // a section is written when it has grown so large
	sectionMost     = 8 << 20 // and a larger one is not read
	samplesMost     = 512 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot writes all buckets, blackholes and samples. Pours that go on meanwhile
// are seen or not; for a clean restart there should be none.
func (m *Memory) Snapshot(w io.Writer) error {
	t := m.table.Load()
	key := m.key.Load()
	head := append([]byte(snapshotMagic), snapshotVersion)
	head = binary.LittleEndian.AppendUint64(head, key.k0)
	head = binary.LittleEndian.AppendUint64(head, key.k1)
	head = binary.AppendUvarint(head, uint64(len(t.ids)))
	for _, id := range t.ids {
		head = append(head, id[:]...)
	}
	if err := writeSection(w, head); err != nil {
		return err
	}
	for i := range m.shards {
		if err := m.write(w, &m.shards[i], t); err != nil {
			return err
		}
	}
	return writeSection(w, nil)
}

func writeSection(w io.Writer, b []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli))
	if _, err := w.Write(append(head, b...)); err != nil {
		return fmt.Errorf("writing buckets: %w", err)
	}
	return nil
}

// written is an entry on its way into a snapshot.
type written struct {
	head    []byte
	samples []sample
}

// write writes the entries of a shard in sections. Its lock is not held while it
// writes, nor while it fetches samples: entries that come, go or move meanwhile may
// be missed.
func (m *Memory) write(w io.Writer, sh *shard, t *table) error {
	var b []byte
	for n := 0; ; {
		var list []written
		sh.mu.Lock()
		for ; n < sh.size && len(list) < chunk; n++ {
			if e := sh.at(uint32(n)); e.flags&used != 0 && int(e.slot) < len(t.ids) {
				list = sh.appendEntry(list, e, t.scenarios[e.slot].keep-1)
			}
		}
		done := n >= sh.size
		sh.mu.Unlock()
		for _, e := range list {
			b = m.appendSamples(append(b, e.head...), e.samples)
			if len(b) < sectionGoal {
				continue
			}
			if err := writeSection(w, b); err != nil {
				return err
			}
			b = b[:0]
		}
		if !done {
			continue
		}
		if len(b) == 0 {
			return nil
		}
		return writeSection(w, b)
	}
}

// appendSamples appends the newest samples that fit.
func (m *Memory) appendSamples(b []byte, list []sample) []byte {
	var bodies [][]byte
	size := 0
	for i := len(list) - 1; i >= 0; i-- {
		body := m.body(list[i], nil)
		if size += len(body) + 1; body == nil || size > samplesMost {
			break
		}
		bodies = append(bodies, body)
	}
	b = binary.AppendUvarint(b, uint64(len(bodies)))
	for i := len(bodies) - 1; i >= 0; i-- {
		b = appendBytes(b, bodies[i])
	}
	return b
}

// Parts of a side.
const (
	partTripped = 1 << iota
	partQueue
	partTimer
)

// appendEntry appends an entry. Events that were kept whole cannot be written: of
// their bucket only the blackhole is, and it is counted.
func (sh *shard) appendEntry(list []written, e *entry, keep int) []written {
	sd := &side{}
	if e.side != 0 {
		sd = sh.sides.at(e.side)
	}
	if sd.queue != nil && sd.queue.whole != nil {
		sh.stats.Unsaved++
		if e.hole == math.MinInt64 {
			return list
		}
		hole := *e
		hole.flags &= used | replay | late | watched
		hole.count, hole.sample = 0, 0
		e, sd = &hole, &side{}
	}
	b := append([]byte(nil), e.key[:]...)
	b = binary.LittleEndian.AppendUint16(b, e.slot)
	b = binary.LittleEndian.AppendUint16(b, e.flags)
	for _, v := range [...]uint64{e.level, uint64(e.last), uint64(e.first), uint64(e.touched), uint64(e.hole)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, e.count)
	v := &sd.values
	b = binary.AppendUvarint(b, uint64(v.oldest))
	b = binary.AppendUvarint(b, uint64(len(v.list)))
	for _, h := range v.list {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	b = sd.append(b)
	newest := e.sample
	if sd.timer != nil {
		newest = sd.timer.prev // it has the last one itself
	}
	return append(list, written{b, sh.ring.last(newest, keep)})
}

// append appends the parts of a side but for its values.
func (sd *side) append(b []byte) []byte {
	var parts byte
	if sd.tripped != 0 {
		parts |= partTripped
	}
	if sd.queue != nil {
		parts |= partQueue
	}
	if sd.timer != nil {
		parts |= partTimer
	}
	b = append(b, parts)
	if sd.tripped != 0 {
		b = binary.LittleEndian.AppendUint64(b, sd.tripped)
	}
	if q := sd.queue; q != nil {
		b = binary.AppendUvarint(b, uint64(q.len()))
		for i := range q.len() {
			r := q.at(i)
			b = binary.LittleEndian.AppendUint64(b, uint64(r.time))
			b = binary.LittleEndian.AppendUint16(b, uint16(r.zone))
			b = binary.LittleEndian.AppendUint16(b, r.holds)
			b = appendBytes(b, q.body(i))
		}
	}
	if t := sd.timer; t != nil {
		b = appendBytes(appendBytes(b, []byte(t.key)), []byte(t.site))
		b = binary.LittleEndian.AppendUint64(b, uint64(t.last))
		b = binary.LittleEndian.AppendUint32(b, uint32(t.zone))
		b = append(b, t.depth, 0)
		if t.width {
			b[len(b)-1] = 1
		}
		b = appendBytes(b, t.body)
	}
	return b
}

func appendBytes(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}
