package appliance

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// keptRefusals is how many refusals are remembered with their request. An older
// incident id still tells its decision, which is written into the id itself.
const keptRefusals = 8192

// maxRefusedText bounds each text kept of a refused request, in bytes.
const maxRefusedText = 256

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
	f.Site, f.Method, f.Path = kept(f.Site), kept(f.Method), kept(f.Path)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < keptRefusals {
		r.ring = append(r.ring, f)
		return
	}
	r.ring[r.next] = f
	r.next = (r.next + 1) % keptRefusals
}

// kept is a copy of the beginning of s: s itself may be part of a request of any
// size, which would stay in memory with it.
func kept(s string) string {
	return strings.Clone(strings.ToValidUTF8(s[:min(len(s), maxRefusedText)], "\uFFFD"))
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
