package scenarios

import "encoding/binary"

// keymap finds entries of a slab by their key: open addressing with linear
// probing, at most three quarters full. A slot has the entry's number plus one in
// its low bits and bits of the key in its high ones, so that the slab is rarely
// looked at in vain. Keys are random already, which is why they need no hashing.
type keymap struct {
	slots []uint32
	n     int
}

const (
	numberBits = 20 // of a slot: how many entries a shard can have
	mostInOne  = 1<<numberBits - 2
)

func home(key *[16]byte, slots int) int {
	return int(binary.LittleEndian.Uint32(key[:])) & (slots - 1)
}

// mark returns the bits of a key that a slot has.
func mark(key *[16]byte) uint32 {
	return binary.LittleEndian.Uint32(key[4:]) << numberBits
}

// find returns the number of the entry with key.
func (k *keymap) find(key *[16]byte, in *slab) (uint32, bool) {
	i, ok := k.slot(key, in)
	if !ok {
		return 0, false
	}
	return k.slots[i]&(1<<numberBits-1) - 1, true
}

func (k *keymap) slot(key *[16]byte, in *slab) (int, bool) {
	if len(k.slots) == 0 {
		return 0, false
	}
	m := mark(key)
	for i := home(key, len(k.slots)); ; i = (i + 1) & (len(k.slots) - 1) {
		s := k.slots[i]
		if s == 0 {
			return 0, false
		}
		if s>>numberBits<<numberBits == m && in.at(s&(1<<numberBits-1)-1).key == *key {
			return i, true
		}
	}
}

// add stores the number n of a key that is not there.
func (k *keymap) add(key *[16]byte, n uint32, in *slab) {
	if (k.n+1)*4 > len(k.slots)*3 {
		old := k.slots
		k.slots = make([]uint32, max(16, 2*len(old)))
		for _, s := range old {
			if s != 0 {
				k.put(&in.at(s&(1<<numberBits-1)-1).key, s)
			}
		}
	}
	k.put(key, mark(key)|(n+1))
	k.n++
}

func (k *keymap) put(key *[16]byte, slot uint32) {
	i := home(key, len(k.slots))
	for k.slots[i] != 0 {
		i = (i + 1) & (len(k.slots) - 1)
	}
	k.slots[i] = slot
}

// remove takes a key out and moves those that it had pushed aside back.
func (k *keymap) remove(key *[16]byte, in *slab) {
	hole, ok := k.slot(key, in)
	if !ok {
		return
	}
	mask := len(k.slots) - 1
	for i := (hole + 1) & mask; k.slots[i] != 0; i = (i + 1) & mask {
		from := home(&in.at(k.slots[i]&(1<<numberBits-1)-1).key, len(k.slots))
		// An entry may move into the hole unless its home lies between the two.
		if (i-from)&mask >= (i-hole)&mask {
			k.slots[hole] = k.slots[i]
			hole = i
		}
	}
	k.slots[hole] = 0
	k.n--
}
