package scenarios

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// A snapshot is a head and sections, each with its length and checksum; one of
// length zero ends it. The head has the key of hashes and the fingerprints that
// buckets refer to by number; the other sections have entries:
//
//	head    magic · version · key 16 · count · fingerprint 16…
//	section length uint32 · CRC-32C uint32 · entries
//	entry   key 16 · slot 2 · flags 2 · level, last, first, touched, hole 8 each ·
//	        count 4 · oldest · values · value 8… · samples · (length · body)…
const (
	snapshotMagic   = "RPBUCKET"
	snapshotVersion = 1
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
		if err := m.shards[i].write(w, t); err != nil {
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

// write writes the entries in sections. The lock is not held while it writes:
// entries that come, go or move meanwhile may be missed.
func (sh *shard) write(w io.Writer, t *table) error {
	var b []byte
	for n := 0; ; {
		sh.mu.Lock()
		for ; n < sh.size && len(b) < sectionGoal; n++ {
			if e := sh.at(uint32(n)); e.flags&used != 0 && int(e.slot) < len(t.ids) {
				b = sh.appendEntry(b, e, t.keeps[e.slot])
			}
		}
		sh.mu.Unlock()
		if len(b) == 0 {
			return nil
		}
		if err := writeSection(w, b); err != nil {
			return err
		}
		b = b[:0]
	}
}

func (sh *shard) appendEntry(b []byte, e *entry, keep int) []byte {
	b = append(b, e.key[:]...)
	b = binary.LittleEndian.AppendUint16(b, e.slot)
	b = binary.LittleEndian.AppendUint16(b, e.flags)
	for _, v := range [...]uint64{e.level, uint64(e.last), uint64(e.first), uint64(e.touched), uint64(e.hole)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, e.count)
	var v values
	if e.set != 0 {
		v = sh.sets.all[e.set-1]
	}
	b = binary.AppendUvarint(b, uint64(v.oldest))
	b = binary.AppendUvarint(b, uint64(len(v.list)))
	for _, h := range v.list {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	bodies := sh.ring.last(e.sample, keep)
	size, from := 0, len(bodies)
	for from > 0 && size+len(bodies[from-1]) <= samplesMost {
		from--
		size += len(bodies[from]) + 1
	}
	b = binary.AppendUvarint(b, uint64(len(bodies)-from))
	for _, body := range bodies[from:] {
		b = binary.AppendUvarint(b, uint64(len(body)))
		b = append(b, body...)
	}
	return b
}
