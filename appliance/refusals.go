package appliance

import (
	"net/netip"
	"sync"
	"time"
)

// keptRefusals is how many refusals are remembered with their request. An older
// incident id still tells its decision, which is written into the id itself.
const keptRefusals = 8192

// maxRefusedPath bounds the path kept of a refused request, in bytes.
const maxRefusedPath = 256

// Refusal is one refused request.
type Refusal struct {
	Incident   string     `json:"incident"`
	Time       time.Time  `json:"time"`
	Client     netip.Addr `json:"client"`
	Site       string     `json:"site"`
	Method     string     `json:"method"`
	Path       string     `json:"path"`
	Action     string     `json:"action"`
	DecisionID int64      `json:"decision_id"`
}

// refusals is a ring of the latest ones.
type refusals struct {
	mu   sync.Mutex
	ring []Refusal
	next int
}

func newRefusals() *refusals { return &refusals{} }

func (r *refusals) add(f Refusal) {
	if len(f.Path) > maxRefusedPath {
		f.Path = f.Path[:maxRefusedPath]
	}
	if len(f.Site) > maxRefusedPath {
		f.Site = f.Site[:maxRefusedPath]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < keptRefusals {
		r.ring = append(r.ring, f)
		return
	}
	r.ring[r.next] = f
	r.next = (r.next + 1) % keptRefusals
}

// find returns the refusals that match, newest last, at most limit.
func (r *refusals) find(limit int, match func(Refusal) bool) []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Refusal
	for i := range r.ring {
		f := r.ring[(r.next+i)%len(r.ring)]
		if match(f) {
			out = append(out, f)
		}
	}
	if len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out
}
