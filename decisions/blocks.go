package decisions

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/rampart-edge/rampart/store"
)

// How the 40 bits that an incident id has for a decision are shared out: ids below
// listsFrom are granted by the fleet, those from there on are of lists, those from
// emergencyFrom on of emergency blocks.
const (
	listsFrom     = 1 << 38
	emergencyFrom = 1 << 39

	emergencyBits = 20
	emergencyIDs  = 1 << emergencyBits
	nodeMask      = emergencyFrom>>emergencyBits - 1
	// What is set aside of an emergency block at a time: little, so that granted
	// ids are used soon after they came.
	emergencyAside = 2 * idBlock / 10
	maxGrants      = 64
)

// span are the numbers from…to, both included.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

func (s span) size() int64 { return s.To - s.From + 1 }

// blocks gives out numbers that no other node of a fleet gives out: granted ones,
// and where there are none those of the node's own emergency block. The latter is
// used in a circle, past what is in use. Like counter it is the writer's, apart
// from what is atomic.
type blocks struct {
	key    string
	state  blockState
	inUse  func(id int64) bool
	ready  []span // set aside, on disk or on the way there
	left   int64  // numbers in ready
	usable atomic.Int64
}

// blockState is what the database has: what is not set aside yet.
type blockState struct {
	Base    int64  `json:"base"` // of the emergency block
	Granted []span `json:"granted"`
	Spare   int64  `json:"spare"` // next of the emergency block, from 1
	Around  bool   `json:"around,omitempty"`
}

// emergencyBase is where a node's emergency block begins.
func emergencyBase(node uint64) int64 { return emergencyFrom | int64(node&nodeMask)<<emergencyBits }

// listBase is the id of the first entry of a list in a fleet: it needs no grant, is
// the same on every node, and another for nearly every version.
func listBase(name string, version int64) int64 {
	sum := sha256.Sum256(be64(version))
	sum = sha256.Sum256(append(sum[:], name...))
	return listsFrom | int64(binary.BigEndian.Uint16(sum[:]))*maxListEntries
}

func blocksKey(counter string) string { return counter + "_blocks" }

// loadBlocks returns the blocks of a node as they were left. Those of another node
// (the database was copied) are not used.
func loadBlocks(db *store.DB, key string, node uint64) (*blocks, error) {
	k := &blocks{key: key, state: blockState{Base: emergencyBase(node), Spare: 1}}
	v, err := db.Get(metaBucket, key)
	if err != nil || v == nil {
		return k, err
	}
	var s blockState
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	if s.Base == k.state.Base && s.Spare >= 1 && s.Spare <= emergencyIDs {
		k.state = s
	}
	return k, nil
}

// ask has numbers set aside in good time, so that n and some more can be given out.
func (k *blocks) ask(n int64, w *writer) {
	if k.left >= n+idBlock/2 {
		return
	}
	before := k.left
	for len(k.state.Granted) > 0 && k.left < n+idBlock {
		g := &k.state.Granted[0]
		s := span{g.From, min(g.To, g.From+n+idBlock-k.left-1)}
		if g.From = s.To + 1; g.From > g.To {
			k.state.Granted = k.state.Granted[1:]
		}
		k.addUnused(s)
	}
	if k.left < n+emergencyAside/2 {
		k.addSpare(n + emergencyAside)
	}
	if got := k.left - before; got > 0 {
		w.add(op{bucket: metaBucket, key: k.key, value: k.encode(), done: func() { k.usable.Add(got) }})
	}
}

// addUnused sets aside what is not in use of a span.
func (k *blocks) addUnused(s span) {
	for id := s.From; id <= s.To; id++ {
		if k.inUse(id) || k.holds(id) {
			continue
		}
		k.left++
		if n := len(k.ready); n > 0 && k.ready[n-1].To == id-1 {
			k.ready[n-1].To = id
		} else {
			k.ready = append(k.ready, span{id, id})
		}
	}
}

// addSpare sets numbers of the emergency block aside until there are enough, or
// once round.
func (k *blocks) addSpare(enough int64) {
	for range emergencyIDs {
		if k.left >= enough {
			return
		}
		if k.state.Spare >= emergencyIDs {
			k.state.Spare, k.state.Around = 1, true
		}
		id := k.state.Base + k.state.Spare
		k.state.Spare++
		k.addUnused(span{id, id})
	}
}

// holds tells whether id is set aside already.
func (k *blocks) holds(id int64) bool {
	for _, s := range k.ready {
		if id >= s.From && id <= s.To {
			return true
		}
	}
	return false
}

// unused tells whether id is one that this node has still to give out.
func (k *blocks) unused(id int64) bool {
	if k.holds(id) {
		return true
	}
	for _, s := range k.state.Granted {
		if id >= s.From && id <= s.To {
			return true
		}
	}
	return !k.state.Around && id >= k.state.Base+k.state.Spare && id < k.state.Base+emergencyIDs
}

func (k *blocks) take() int64 {
	s := &k.ready[0]
	id := s.From
	if s.From++; s.From > s.To {
		k.ready = k.ready[1:]
	}
	k.left--
	k.usable.Add(-1)
	return id
}

// grant adds a block. What makes no sense is left out.
func (k *blocks) grant(s span, w *writer) {
	if s.From < 1 || s.To < s.From || s.To >= listsFrom || len(k.state.Granted) >= maxGrants {
		return
	}
	k.state.Granted = append(k.state.Granted, s)
	// Nobody need go on with long emergency ids, unless some are on their way to the disk.
	if k.usable.Load() == k.left && len(k.ready) > 0 && k.ready[0].From >= emergencyFrom {
		k.giveBack()
		k.usable.Store(0)
		k.ask(0, w)
		return
	}
	w.add(op{bucket: metaBucket, key: k.key, value: k.encode()})
}

// wants tells whether few granted numbers are left.
func (k *blocks) wants() bool {
	n := int64(0)
	for _, s := range k.state.Granted {
		n += s.size()
	}
	for _, s := range k.ready {
		if s.From < emergencyFrom {
			n += s.size()
		}
	}
	return n < idBlock/2
}

// giveBack makes what is set aside free again, for a clean stop.
func (k *blocks) giveBack() {
	var granted []span
	spare := k.state.Spare
	for _, s := range k.ready {
		if s.From < emergencyFrom {
			granted = append(granted, s)
		} else if !k.state.Around {
			spare = min(spare, s.From-k.state.Base)
		}
	}
	k.state.Granted, k.state.Spare = append(granted, k.state.Granted...), spare
	k.ready, k.left = nil, 0
}

func (k *blocks) encode() []byte {
	v, err := json.Marshal(&k.state)
	if err != nil {
		return []byte("{}") // numbers only: cannot be
	}
	return v
}
