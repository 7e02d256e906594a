package appliance

import (
	"net/netip"
	"sync"
)

// hitWindow is how long hits add up, in seconds.
const hitWindow = 10

// maxHits bounds how many decisions are counted within a window.
const maxHits = 100_000

// hits counts the requests that banned clients still send, by decision: who has a
// network is not told apart by addresses. It forgets everything at the end of each
// window, so it needs no bookkeeping per decision.
type hits struct {
	mu    sync.Mutex
	count map[int64]int // by decision
}

func newHits() *hits { return &hits{count: map[int64]int{}} }

// add counts a hit and returns how many there are in this window.
func (h *hits) add(decision int64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, ok := h.count[decision]; ok || len(h.count) < maxHits {
		h.count[decision] = n + 1
		return n + 1
	}
	return 0
}

func (h *hits) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.count)
}

// hit counts a hit on the decision against a peer's own address; the one that
// reaches the limit sends what is decided about the address to the firewall.
func (st *state) hit(decision int64, peer netip.Addr, limit int) {
	if st.hits.add(decision) == limit {
		st.wall.escalate(peer)
	}
}
