package appliance

import (
	"net/netip"
	"sync"
)

// hitWindow is how long hits add up, in seconds.
const hitWindow = 10

// maxHits bounds how many addresses are counted within a window.
const maxHits = 100_000

// hits counts the requests that banned clients still send. It forgets everything
// at the end of each window, so it needs no bookkeeping per address.
type hits struct {
	mu    sync.Mutex
	count map[netip.Addr]int
}

func newHits() *hits { return &hits{count: map[netip.Addr]int{}} }

// add counts a hit and returns how many there are in this window.
func (h *hits) add(a netip.Addr) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, ok := h.count[a]; ok || len(h.count) < maxHits {
		h.count[a] = n + 1
		return n + 1
	}
	return 0
}

func (h *hits) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.count)
}

// hit counts a hit on the peer's own address; the one that reaches the limit sends
// the address to the firewall.
func (st *state) hit(peer netip.Addr, limit int) {
	if st.hits.add(peer) == limit {
		st.wall.escalate(peer)
	}
}
