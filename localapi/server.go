package localapi

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// Options are what a Server is made of. All are needed.
type Options struct {
	// Book is where decisions, alerts and allowlists are.
	Book *decisions.Book
	// Registry knows the callers. Who opened it closes it, after the Server.
	Registry *Registry
	// Judge asks the profiles about an alert that was sent to us.
	Judge func(*event.Alert, time.Time) (decisions.Judgement, error)
	// Record writes an alert and its decisions down.
	Record func(*event.Alert, []decisions.Decision) error
	// Recorded hears of every alert that was written down, and whom to notify.
	Recorded func(*event.Alert, []decisions.Decision, []decisions.Match)
	// Secret gives the key of machines' tokens, at least 32 bytes. It is asked each
	// time, since a fleet may exchange it. An empty one makes logins fail with 503.
	Secret func() []byte
	// Version is ours, for answers that tell one.
	Version string
	Now     func() time.Time
	Logger  *zap.Logger
}

// Server answers the Local API. It holds no connection and no row of its own.
type Server struct {
	o      Options
	config atomic.Pointer[Config]
	mux    *mux
	stats  *stats
	bodies budget
	// openBodies is that of routes which are open to everybody, smallBodies that of
	// bodies there which say that they are small.
	openBodies, smallBodies budget
	doors                   *doorkeeper
	streams                 *streams

	closed chan struct{} // closed by Close: what waits long gives up
	gate   sync.RWMutex  // held shared by calls under way
	shut   sync.Once
}

// New returns a server with an empty Config.
func New(o Options) *Server {
	s := &Server{o: o, mux: newMux(routes()), stats: newStats(), doors: newDoorkeeper(), streams: newStreams(), closed: make(chan struct{})}
	s.bodies.limit, s.openBodies.limit, s.smallBodies.limit = maxBodiesInFlight, maxOpenInFlight, maxOpenInFlight
	s.Use(Config{})
	return s
}

// Use puts a configuration in force, for calls that come from now on.
func (s *Server) Use(c Config) {
	s.config.Store(&c)
	s.o.Registry.setIdle(c.Idle)
}

// Handler serves the API. own says that it stands behind this package's Listener;
// then client may be nil, and the address is the connection's or, from a network
// that Config.ForwardedFrom names, the one that was forwarded. Elsewhere client says
// whose a request is.
func (s *Server) Handler(own bool, client func(*http.Request) netip.Addr) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, s.peerOf(r, own, client))
	})
}

// Stats are the figures since New.
func (s *Server) Stats() Stats { return s.stats.snapshot() }

// Close wakes what waits, awaits the calls under way and refuses others with 503.
// Closing twice is fine.
func (s *Server) Close() error {
	s.shut.Do(func() { close(s.closed) })
	s.gate.Lock() // the last call under way lets go of it
	defer s.gate.Unlock()
	return nil
}
