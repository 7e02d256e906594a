package scenarios

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rampart-edge/rampart/event"
)

// RemoteOptions are what a Remote is made with.
type RemoteOptions struct {
	// Secret is what the names of buckets are hashed with: at least 16 bytes, the same
	// on all nodes that share buckets. A shorter one is not used: such a node's buckets
	// are its own.
	Secret []byte
}

// mostFailing is how many scenarios' failures a Remote remembers.
const mostFailing = 4096

// Remote is a node's half of buckets that are kept elsewhere. It knows nothing of
// where that is: it makes drops into Pours, asks conditions, and makes what it is
// told of a full bucket into an Overflow. It is safe for concurrent use.
type Remote struct {
	key  atomic.Pointer[hashKey]
	said atomic.Pointer[Contexts]
	pool sync.Pool // *remotePour

	mu     sync.Mutex
	faults map[[16]byte]*failing
}

// failing is a scenario whose conditions or overflow filter failed.
type failing struct {
	fails
	scenario *Scenario
}

// NewRemote makes a Remote.
func NewRemote(o RemoteOptions) *Remote {
	r := &Remote{faults: map[[16]byte]*failing{}}
	r.Rekey(o.Secret)
	return r
}

// leastSecret is how many bytes a secret has at least.
const leastSecret = 16

// Rekey makes secret the one that buckets are named with from now on: a node may
// start before it can learn that of the others. Buckets that have the old names are
// lost to it.
func (r *Remote) Rekey(secret []byte) {
	k := newHashKey()
	if len(secret) >= leastSecret {
		k = shareKey(secret)
	}
	r.key.Store(&k)
}

// UseContexts makes c what alerts say from now on; nil: nothing. What samples that
// were made with other contexts lack stays unsaid.
func (r *Remote) UseContexts(c *Contexts) { r.said.Store(c) }

// Use makes rules those in force: failures of others are forgotten.
func (r *Remote) Use(rules *Rules) {
	keep := make(map[[16]byte]bool, len(rules.all))
	for _, s := range rules.all {
		keep[s.id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.faults {
		if !keep[id] {
			delete(r.faults, id)
		}
	}
}

// Failures returns the scenarios whose conditions or overflow filters failed, in
// order of their names. They count as no overflow, and as one that passes.
func (r *Remote) Failures() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Failure
	for _, f := range r.faults {
		if one, ok := f.of(f.scenario); ok {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, byName)
	return out
}

func (r *Remote) fault(s *Scenario, n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.faults[s.id]
	if f == nil {
		if len(r.faults) >= mostFailing {
			clear(r.faults)
		}
		f = &failing{}
		r.faults[s.id] = f
	}
	f.scenario = s
	f.note(n, err)
}

// remotePour is what a Remote works with. It is reused.
type remotePour struct {
	extract
	out    Pour
	both   []byte // event and sources
	source []byte // compact
	queue  queue  // what conditions are shown
	event  event.Event
}

func (r *Remote) borrow() *remotePour {
	x, ok := r.pool.Get().(*remotePour)
	if !ok {
		x = &remotePour{}
	}
	x.said = r.said.Load()
	return x
}

func (r *Remote) giveBack(x *remotePour) {
	x.forget()
	x.out = Pour{}
	r.pool.Put(x)
}
