package decisions

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// table4 maps single IPv4 addresses to entries. It is immutable: with makes a new
// one that shares all it did not touch. The addresses are hashed into 16384 shards,
// each an open-addressed table of its own, so that publishing one ban copies one
// shard (of a million bans: 2.5 KB) and the way to it, a batch each touched shard
// once, and a lookup meets few lines of memory that are not in the cache, whether
// it finds something or not.
type table4 struct {
	seed  uint64 // odd; chosen at random, lest somebody chooses colliding addresses
	tops  [fan]*[fan]shard
	count int
}

const (
	fan       = 1 << fanBits
	fanBits   = 7
	shardBits = 2 * fanBits
)

// shard is a table of groups. A group is a word of tags, a byte for each of eight
// slots (0: free), and the slots, three words each:
//
//	id <<8 | direct bit | action
//	until   <<16 | lower half of the address
//	created <<16 | upper half of the address
//
// An entry is in the group that its hash names, or in one behind it if all between
// are full; there is always one that is not. A search compares eight tags at once,
// and its branches nearly always go the same way: with a slot after the other they
// would wait for memory and then be mispredicted.
type shard []uint64

const (
	slotWords  = 3
	groupSlots = 8
	groupWords = 1 + groupSlots*slotWords

	tagLow  = 0x0101_0101_0101_0101
	tagHigh = 0x8080_8080_8080_8080
)

func newTable4() *table4 { return &table4{seed: rand.Uint64() | 1} }

func (t *table4) hash(key uint32) uint32 { return uint32(uint64(key) * t.seed >> 32) }

// home is the first word of the group of a hash, whose upper bits chose the shard.
func (s shard) home(hash uint32) int {
	return groupWords * int(uint64(hash<<shardBits)*uint64(len(s)/groupWords)>>32)
}

// tag of a hash is never 0.
func tag(hash uint32) uint64 { return uint64(hash&0x7f | 0x80) }

// best returns the entry of key that wins, a zero one if none is in force.
func (t *table4) best(key uint32, c *instant) (best entry) {
	h := t.hash(key)
	top := t.tops[h>>(32-fanBits)]
	if top == nil {
		return best
	}
	s := top[h>>(32-shardBits)%fan]
	if len(s) == 0 {
		return best
	}
	same := tag(h) * tagLow
	for g := s.home(h); ; {
		tags := s[g]
		x := tags ^ same
		// Marks above the lowest may be wrong; the address decides.
		for marks := (x - tagLow) &^ x & tagHigh; marks != 0; marks &= marks - 1 {
			w := s.slot(g, bits.TrailingZeros64(marks)/8)
			if slotKey(w) != key {
				continue
			}
			if e := slotEntry(w); !c.past(e.until) && (best.what == 0 || compareEntries(e, best) < 0) {
				best = e
			}
		}
		if tags&tagHigh != tagHigh {
			return best
		}
		g = s.next(g)
	}
}

// slot returns the words of slot i of the group at g.
func (s shard) slot(g, i int) []uint64 {
	at := g + 1 + slotWords*i
	return s[at : at+slotWords : at+slotWords]
}

func (s shard) next(g int) int {
	if g += groupWords; g == len(s) {
		return 0
	}
	return g
}

func slotKey(w []uint64) uint32 { return uint32(w[1]&0xffff | w[2]&0xffff<<16) }

func slotEntry(w []uint64) entry {
	return entry{what: w[0], until: int64(w[1] >> 16), born: int64(w[2]>>16)<<8 | 32}
}

// edit4 is an edit of one IPv4 address.
type edit4 struct {
	key  uint32
	hash uint32
	seq  uint32 // place in the batch
	edit
}

// with returns the table after edits, which it reorders; of several edits of one
// id at one address the last one counts.
func (t *table4) with(edits []edit4) *table4 {
	for i := range edits {
		edits[i].hash, edits[i].seq = t.hash(edits[i].key), uint32(i)
	}
	slices.SortFunc(edits, func(a, b edit4) int {
		if x := comparePairs(&a, &b); x != 0 {
			return x
		}
		return cmp.Compare(a.seq, b.seq)
	})
	next := *t
	var own [fan]bool
	var scratch []slot
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && edits[n].hash>>(32-shardBits) == edits[0].hash>>(32-shardBits) {
			n++
		}
		part := lastOfEach(edits[:n])
		h := edits[0].hash
		edits = edits[n:]
		if i := h >> (32 - fanBits); !own[i] {
			own[i] = true
			top := new([fan]shard)
			if next.tops[i] != nil {
				*top = *next.tops[i]
			}
			next.tops[i] = top
		}
		s := &next.tops[h>>(32-fanBits)][h>>(32-shardBits)%fan]
		if need := len(*s)/slotWords + len(part); cap(scratch) < need {
			scratch = make([]slot, 0, 2*need)
		}
		var before int
		scratch, before = s.apply(t, part, scratch[:0])
		next.count += len(scratch) - before
		*s = makeShard(scratch)
	}
	return &next
}

// comparePairs orders by shard, address and id.
func comparePairs(a, b *edit4) int {
	if a.hash != b.hash { // equal for equal addresses
		return cmp.Compare(a.hash, b.hash)
	}
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.e.id(), b.e.id()))
}

// lastOfEach drops, of sorted edits, all but the last of each address and id.
func lastOfEach(edits []edit4) []edit4 {
	out := edits[:0]
	for i := range edits {
		if i+1 == len(edits) || comparePairs(&edits[i], &edits[i+1]) != 0 {
			out = append(out, edits[i])
		}
	}
	return out
}

// slot is an entry with its address, outside a shard.
type slot struct {
	key, hash uint32
	e         entry
}

// apply appends to dst what the shard has after edits, and tells how many there
// were before.
func (s shard) apply(t *table4, edits []edit4, dst []slot) (out []slot, before int) {
	for g := 0; g < len(s); g += groupWords {
		used := bits.OnesCount64(s[g] & tagHigh)
		before += used
		for i := range used {
			w := s.slot(g, i)
			key := slotKey(w)
			old := edit4{key: key, hash: t.hash(key), edit: edit{e: slotEntry(w)}}
			if !isEdited(edits, old) {
				dst = append(dst, slot{key, old.hash, old.e})
			}
		}
	}
	for i := range edits {
		if !edits[i].gone {
			dst = append(dst, slot{edits[i].key, edits[i].hash, edits[i].e})
		}
	}
	return dst, before
}

// isEdited tells whether sorted edits have one of old's address and id.
func isEdited(edits []edit4, old edit4) bool {
	lo, hi := 0, len(edits)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch x := comparePairs(&edits[m], &old); {
		case x == 0:
			return true
		case x < 0:
			lo = m + 1
		default:
			hi = m
		}
	}
	return false
}

// makeShard lays slots out, not quite five to a group: few groups are full, at
// some 44 bytes an entry.
func makeShard(slots []slot) shard {
	if len(slots) == 0 {
		return nil
	}
	s := make(shard, groupWords*(len(slots)*5/24+1))
	for i := range slots {
		g := s.home(slots[i].hash)
		for s[g]&tagHigh == tagHigh {
			g = s.next(g)
		}
		at := bits.OnesCount64(s[g] & tagHigh)
		s[g] |= tag(slots[i].hash) << (8 * at)
		w, e := s.slot(g, at), slots[i].e
		w[0] = e.what
		w[1] = uint64(e.until)<<16 | uint64(slots[i].key&0xffff)
		w[2] = uint64(e.born>>8)<<16 | uint64(slots[i].key>>16)
	}
	return s
}
