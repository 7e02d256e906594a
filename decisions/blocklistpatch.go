package decisions

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrOtherList is in the chain when a patch is for another list, or another state
// of it.
var ErrOtherList = errors.New("the patch is for another state of the list")

// Diff returns the patch that makes old into next: the head, the indexes of what
// goes, and what comes.
func Diff(old, next *Blocklist) []byte {
	gone, fresh := compareLists(old, next)
	plain := appendHead(nil, &next.ListHead)
	plain = binary.AppendUvarint(plain, uint64(len(gone)))
	last := 0
	for _, i := range gone {
		plain = binary.AppendUvarint(plain, uint64(i-last))
		last = i
	}
	plain = appendEntries(plain, next.pick(fresh))
	from, to := old.Hash(), next.sum()
	return pack(slices.Concat([]byte(patchMagic), from[:], to[:]), plain)
}

// compareLists returns the indexes of what old has alone, and of what next has alone,
// both in order.
func compareLists(old, next *Blocklist) (gone, fresh []int) {
	i, j := 0, 0
	for kind, end := range old.ends() {
		for last := next.ends()[kind]; i < end || j < last; {
			order := 0
			switch {
			case j == last:
				order = -1
			case i == end:
				order = 1
			default:
				order = compareEntry(old, i, next, j, kind)
			}
			if order < 0 {
				gone = append(gone, i)
			} else if order > 0 {
				fresh = append(fresh, j)
			}
			if order <= 0 {
				i++
			}
			if order >= 0 {
				j++
			}
		}
	}
	return gone, fresh
}

// compareEntry compares entries of two lists, of the same kind.
func compareEntry(x *Blocklist, i int, y *Blocklist, j, kind int) int {
	if kind == 0 {
		return cmp.Compare(x.v4.keys[i], y.v4.keys[j])
	}
	return x.At(i).Compare(y.At(j))
}

// pick returns the entries with these indexes, in order, as a list of its own.
func (l *Blocklist) pick(indexes []int) *Blocklist {
	if len(indexes) == l.Len() {
		return l
	}
	out := &Blocklist{ListHead: l.ListHead}
	ends := l.ends()
	a, _ := slices.BinarySearch(indexes, ends[0])
	b, _ := slices.BinarySearch(indexes, ends[1])
	v4, nets := make([]uint32, a), make([]uint32, b-a)
	for n, i := range indexes[:a] {
		v4[n] = l.v4.keys[i]
	}
	out.bits = make([]uint8, b-a)
	for n, i := range indexes[a:b] {
		nets[n], out.bits[n] = l.nets.keys[i-ends[0]], l.bits[i-ends[0]]
	}
	out.v6 = make([]prefix6, len(indexes)-b)
	for n, i := range indexes[b:] {
		out.v6[n] = l.v6[i-ends[1]]
	}
	out.v4, out.nets = newSorted4(v4), newSorted4(nets)
	return out
}

// ends are the indexes behind the entries of each kind.
func (l *Blocklist) ends() [3]int {
	return [3]int{len(l.v4.keys), len(l.v4.keys) + len(l.nets.keys), l.Len()}
}

// Apply returns the list that a patch of Diff makes of l, whatever the Base of l.
// Like DecodeBlocklist it is safe with bytes from anywhere; a patch for another
// state is ErrOtherList.
func (l *Blocklist) Apply(patch []byte) (*Blocklist, error) {
	next, err := l.apply(patch)
	if err != nil {
		return nil, fmt.Errorf("patching list %s: %w", l.Name, err)
	}
	return next, nil
}

func (l *Blocklist) apply(patch []byte) (*Blocklist, error) {
	rest, ok := bytes.CutPrefix(patch, []byte(patchMagic))
	if !ok || len(rest) < 2*sha256.Size {
		return nil, errListCode
	}
	if l.Hash() != [sha256.Size]byte(rest) {
		return nil, ErrOtherList
	}
	rest = rest[sha256.Size:]
	r, err := unpack(rest[sha256.Size:])
	if err != nil {
		return nil, err
	}
	head := r.head()
	stays, gone := make([]bool, l.Len()), uint64(0)
	for i := range stays {
		stays[i] = true
	}
	for range r.number(uint64(l.Len())) {
		gone += r.number(uint64(l.Len()))
		if gone >= uint64(len(stays)) {
			r.fail(errors.New("an index out of range"))
		}
		if r.err != nil {
			return nil, r.err
		}
		stays[gone] = false
	}
	fresh := r.entries(head)
	if err := r.close(); err != nil {
		return nil, err
	}
	var b listBuilder
	for i := range stays {
		if stays[i] {
			// It was in a list before.
			_ = b.add(l.At(i))
		}
	}
	for p := range fresh.All() {
		if err := b.add(p); err != nil {
			return nil, err
		}
	}
	next := b.finish(head)
	if next.sum() != [sha256.Size]byte(rest) {
		return nil, fmt.Errorf("%w: the hash is another one", errListCode)
	}
	return next, nil
}
