package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/localapi"
)

const (
	tokenSecret   = "jwt"
	fleetTokenKey = "fleet_jwt"
	tokenBytes    = 32
	// apiRetry is how often a listener that could not be opened again is tried.
	apiRetry = 10 * time.Second
	// apiGrace is how long calls under way may still take when their listener closes.
	apiGrace = 10 * time.Second
	// apiYield is the same where another listener waits for the address.
	apiYield = time.Second
)

var errNotServing = errors.New("the node is not running")

// api is the Local API of a node: who may call, what is answered, and the listener of
// its own. It lives as long as the state; configurations say whether it is served, where
// and to whom.
type api struct {
	st       *state
	registry *localapi.Registry
	server   *localapi.Server
	token    atomic.Pointer[[]byte] // secret of the agents' tokens: this node's, or the fleet's

	mu       sync.Mutex            // guards the following, and is held while a listener is opened
	wanted   localapi.ListenConfig // zero: none
	open     localapi.ListenConfig // of listener
	listener *localapi.Listener    // nil: none
	problem  error                 // why what is wanted is not open
	since    time.Time             // of problem
	tried    time.Time
	closing  sync.WaitGroup // of listeners that are in use no more
}

// openAPI reads who may call. It serves nobody yet.
func openAPI(st *state, s *Settings) (*api, error) {
	p := &api{st: st}
	if err := p.openToken(); err != nil {
		return nil, err
	}
	var kept localapi.Store = localapi.NewStore(st.db)
	if st.fleet != nil {
		kept = st.fleet.tables
	}
	log := s.log.Named("api")
	var err error
	if p.registry, err = localapi.OpenRegistry(kept, time.Now, log); err != nil {
		return nil, fmt.Errorf("opening the Local API: %w", err)
	}
	p.server = localapi.New(localapi.Options{Book: st.book, Registry: p.registry, Judge: p.judge, Record: p.record,
		Recorded: st.recorded, Secret: func() []byte { return *p.token.Load() }, Version: version(), Now: time.Now, Logger: log})
	return p, nil
}

// openToken takes the secret of the fleet where it is known from an earlier run.
func (p *api) openToken() error {
	secret, err := p.st.db.Secret(tokenSecret, tokenBytes)
	if err != nil {
		return fmt.Errorf("reading the secret of the Local API's tokens: %w", err)
	}
	if p.st.storage.shared() {
		fleets, err := p.st.db.Get(stateBucket, fleetTokenKey)
		if err != nil {
			return fmt.Errorf("reading the fleet's secret of the Local API's tokens: %w", err)
		}
		if len(fleets) == tokenBytes {
			secret = fleets
		}
	}
	p.token.Store(&secret)
	return nil
}

// exchange makes secret the one of tokens. Agents whose token was of another log in
// again by themselves.
func (p *api) exchange(secret []byte) error {
	if string(*p.token.Load()) == string(secret) {
		return nil
	}
	if err := p.st.db.Put(stateBucket, fleetTokenKey, secret); err != nil {
		return fmt.Errorf("keeping the fleet's secret of the Local API's tokens: %w", err)
	}
	p.token.Store(&secret)
	return nil
}

// live is what the node runs under if the API is served, else nil.
func (p *api) live() *live {
	if l := p.st.live(); l != nil && l.settings.api != nil {
		return l
	}
	return nil
}

// own is what the listener of its own serves.
func (p *api) own() http.Handler {
	served := p.server.Handler(true, nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.live() == nil { // about to start, or to end
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		served.ServeHTTP(w, r)
	})
}

// LocalAPI serves the Local API of the node for callers whose address client tells.
// They have none of the privileges of loopback. As long as the API is not configured
// nothing is found.
func (a *Appliance) LocalAPI(client func(*http.Request) netip.Addr) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := a.live.Load()
		if l == nil || l.settings.api == nil {
			http.NotFound(w, r)
			return
		}
		l.state.api.server.Handler(false, client).ServeHTTP(w, r)
	})
}

// judge asks the profiles in force. What an agent of ours would only simulate, an
// alert that comes from elsewhere does not cause either.
func (p *api) judge(a *event.Alert, now time.Time) (decisions.Judgement, error) {
	l := p.live()
	if l == nil {
		return decisions.Judgement{}, errNotServing
	}
	if p.st.simulated(l.settings)(a) {
		a.Simulated = true
	}
	return l.settings.profiles.Judge(a, now)
}

// record writes an alert down. A decision against a trusted proxy, or another address
// that is never banned, is kept suppressed.
func (p *api) record(a *event.Alert, ds []decisions.Decision) error {
	l := p.live()
	if l == nil {
		return errNotServing
	}
	for i := range ds {
		l.spareProxy(ds[i])
	}
	return p.st.book.Append(a, ds)
}

// close ends the calls under way and writes down what callers told of themselves. What
// is still under way when ctx ends is left, at a site, or cut off.
func (p *api) close(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.server.Close() }() // with the last call under way
	p.mu.Lock()
	l := p.listener
	p.listener, p.open, p.wanted = nil, localapi.ListenConfig{}, localapi.ListenConfig{}
	p.mu.Unlock()
	var errs []error
	if l != nil {
		errs = append(errs, l.Close(ctx))
	}
	p.closing.Wait()
	select {
	case err := <-ended:
		errs = append(errs, err)
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("closing the Local API: calls of a site are still under way: %w", ctx.Err()))
	}
	return errors.Join(append(errs, p.registry.Close())...)
}

// closeLater ends a listener whose place another has taken.
func (p *api) closeLater(l *localapi.Listener, log *zap.Logger) {
	p.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), apiGrace)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			log.Warn("calls of the Local API were cut off, since its address changed", zap.Error(err))
		}
	})
}
