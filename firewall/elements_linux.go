package firewall

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// maxPerCall bounds the elements handed to the library at once: older releases
// of it lose elements of longer lists without an error.
const maxPerCall = 2000

// elements gathers the elements of one batch by map.
type elements struct {
	byMap map[width][]nftables.SetElement
	keys  []byte // backs the keys
	marks map[uint16][]byte
}

func newElements(expect int) *elements {
	return &elements{
		byMap: make(map[width][]nftables.SetElement),
		keys:  make([]byte, 0, expect*4),
		marks: make(map[uint16][]byte),
	}
}

// add queues one element. The end of the time-out is counted from now on; a
// removal has none and no origin.
func (e *elements) add(k key, origin uint16, left time.Duration) {
	from := len(e.keys)
	e.keys = k.append(e.keys)
	el := nftables.SetElement{Key: e.keys[from:len(e.keys):len(e.keys)], Timeout: left}
	if origin != 0 {
		el.Val = e.mark(origin)
	}
	e.byMap[k.width] = append(e.byMap[k.width], el)
}

func (e *elements) mark(origin uint16) []byte {
	m, ok := e.marks[origin]
	if !ok {
		m = binaryutil.NativeEndian.PutUint32(uint32(origin))
		e.marks[origin] = m
	}
	return m
}

// send queues the elements for a transaction. Maps that do not exist have no
// elements to remove.
func (e *elements) send(rs *ruleset, call func(*nftables.Set, []nftables.SetElement) error) error {
	for w, list := range e.byMap {
		set, ok := rs.maps[w]
		if !ok {
			continue
		}
		for part := range slices.Chunk(list, maxPerCall) {
			if err := call(set, part); err != nil {
				return fmt.Errorf("encoding elements of %s: %w", set.Name, err)
			}
		}
	}
	return nil
}
