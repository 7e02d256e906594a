package appliance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/scenarios"
)

// Options are what an appliance needs before it has settings.
type Options struct {
	Node   string
	Logger *zap.Logger // until the first settings bring theirs
}

// Appliance is one node: it outlives the configurations that it runs under.
type Appliance struct {
	node     string
	log      *zap.Logger
	life     sync.Mutex    // of opening and closing, which take their time
	mu       sync.Mutex    // guards gens, state and every change of live; taken after life
	gens     []*generation // newest last
	state    *state        // nil until the first Use and after Close
	live     atomic.Pointer[live]
	counters *counters
	metrics  *metrics
	admin    http.Handler
	tune     func(*cluster.Options) // for tests; may be nil
}

// generation is one configuration that is in use; settings change when files
// that it names do.
type generation struct{ settings *Settings }

// live is what requests and lines run under: one generation's settings with the
// engine around them, and the state of the node.
type live struct {
	settings *Settings
	engine   *engine.Engine
	gate     *captcha.Gate
	state    *state
	// passed are the figures of the gates before this one.
	passed map[string]int64
	// inline: request-phase scenarios may run before the request is proxied.
	inline bool
}

// live is what the state runs under, nil before all of it is open.
func (st *state) live() *live {
	if l := st.owner.live.Load(); l != nil && l.state == st {
		return l
	}
	return nil
}

// New makes an appliance that has opened nothing yet.
func New(o Options) *Appliance {
	a := &Appliance{node: o.Node, log: o.Logger, counters: newCounters()}
	if a.log == nil {
		a.log = zap.NewNop()
	}
	a.metrics, a.admin = newMetrics(a), a.mux()
	return a
}

// Use makes s the settings in force and returns the function that withdraws
// them, which may be called more than once. The newest settings that have not
// been withdrawn rule; after the last withdrawal they stay in force for requests
// that outlive their configuration, until Close. The first Use opens the data
// directory; its error names who holds it. Later ones cannot name another one.
func (a *Appliance) Use(s *Settings) (release func(), err error) {
	a.life.Lock()
	defer a.life.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == nil {
		a.state, err = a.open(s)
	} else {
		err = a.state.accepts(s)
		if err == nil {
			err = a.state.api.listen(s)
		}
	}
	if err != nil {
		return nil, err
	}
	g := &generation{settings: s}
	a.gens = append(a.gens, g)
	a.apply()
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.gens = slices.DeleteFunc(a.gens, func(o *generation) bool { return o == g })
		a.apply()
	}), nil
}

// apply brings the node in line with the newest generation. a.mu is held.
func (a *Appliance) apply() {
	if a.state == nil || len(a.gens) == 0 {
		return
	}
	top := a.gens[len(a.gens)-1].settings
	// Buckets of a generation that may come back are kept: a configuration that
	// fails half-way is withdrawn again.
	var all []*scenarios.Scenario
	for _, g := range a.gens {
		all = append(all, g.settings.rules.All()...)
	}
	a.state.buckets.Use(scenarios.NewRules(all))
	var before *Settings
	if l := a.live.Load(); l != nil {
		if before = l.settings; before == top {
			return
		}
	}
	for _, note := range a.state.unheeded(top) {
		top.log.Warn(note)
	}
	top.bind(a.state.book, before)
	a.state.buckets.UseContexts(top.contexts)
	l := &live{settings: top, state: a.state, engine: a.state.engine(top), gate: a.state.useGate(top),
		passed: a.state.passed, inline: len(top.rules.RequestPhase()) > 0}
	a.live.Store(l)
	a.state.follow(top)
}

// exchange makes secret the one that st's refusals, challenges and shared buckets are
// made with. It costs no request: those under way go on with what they began with,
// and incident ids of before are still understood.
func (a *Appliance) exchange(st *state, secret []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	same := bytes.Equal(st.secret, secret)
	if a.state != st || same && st.joined {
		return nil // it closes, or there is nothing new
	}
	if err := st.db.Put(stateBucket, fleetSecretKey, secret); err != nil {
		return fmt.Errorf("keeping the fleet's secret: %w", err)
	}
	if !same {
		st.useSecret(secret)
		if l := a.live.Load(); l != nil {
			next := *l
			next.gate, next.passed = st.useGate(l.settings), st.passed
			a.live.Store(&next)
		}
		st.fleet.log.Info("the fleet has another secret than this node: challenges that are open now are asked again")
	}
	st.joined = true
	st.fleet.share(secret)
	return nil
}

// replace exchanges the settings of the generations that have old for others that
// were compiled from the same configuration. It reports whether old was in use.
func (a *Appliance) replace(old, with *Settings) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := false
	for _, g := range a.gens {
		if g.settings == old {
			g.settings, found = with, true
		}
	}
	if found {
		a.apply()
	}
	return found
}

// Close stops reading, finishes what is queued, and writes down decisions,
// positions and half-full buckets. The context bounds how long it drains. All
// methods may still be called; requests then pass unexamined, until the next Use.
func (a *Appliance) Close(ctx context.Context) error {
	a.life.Lock()
	defer a.life.Unlock()
	a.mu.Lock()
	st := a.state
	a.state, a.gens = nil, nil
	a.mu.Unlock()
	if st == nil {
		return nil
	}
	// Without mu: the watcher, which is awaited, may be about to replace settings.
	err := st.close(ctx)
	a.live.Store(nil)
	return err
}

// Contact is what refusal pages offer to people who need help.
func (a *Appliance) Contact() string {
	if l := a.live.Load(); l != nil {
		return l.settings.config.Contact
	}
	return ""
}

// Decide tells what is decided about an address right now.
func (a *Appliance) Decide(addr netip.Addr) Verdict {
	l := a.live.Load()
	if l == nil {
		return Verdict{}
	}
	return l.state.book.Set().Lookup(addr)
}

// logger is the one of the settings in force.
func (a *Appliance) logger() *zap.Logger {
	if l := a.live.Load(); l != nil {
		return l.settings.log
	}
	return a.log
}
