package expression

import (
	"context"
	"io/fs"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr/builtin"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/cache"
	"github.com/rampart-edge/rampart/geoip"
)

// On says which variables an expression sees.
type On uint8

// The sets of variables.
const (
	OnEvent    On = iota // evt
	OnQueue              // evt, queue, leaky
	OnOverflow           // evt, queue, signal, leaky
	OnAlert              // Alert
	OnContext            // evt, match, req
	OnResults            // results, and the function basename
)

// Kind is what an expression must give.
type Kind uint8

// The kinds. Where the type is known at compile time a wrong one is an error
// there, else it is an error of the run.
const (
	Any Kind = iota
	Bool
	String
)

// DecisionCounts answers for the functions that count decisions.
type DecisionCounts interface {
	// Count returns how many decisions were ever made for value since then; a
	// zero time means all.
	Count(value string, since time.Time) int
	// Active returns how many decisions for value have not expired, and the
	// longest time that is left of one.
	Active(value string) (n int, left time.Duration)
}

// Resolver asks the DNS. Each call may take seconds.
type Resolver interface {
	// Reverse returns the first name of an address, with the dot at its end.
	Reverse(ctx context.Context, addr netip.Addr) (string, bool)
	// Forward returns the addresses of a name.
	Forward(ctx context.Context, host string) ([]netip.Addr, bool)
	// Confirmed returns the names of an address that lead back to it, with the dot
	// at their end.
	Confirmed(ctx context.Context, addr netip.Addr) []string
}

// Options for New. All may be left out.
type Options struct {
	Data fs.FS // data files; nil: there are none
	// Find returns the path inside Data of a data file, "" where there is none; nil:
	// it is the dest_file.
	Find      func(DataFile) string
	Geo       *geoip.Database  // nil: no address is anywhere
	Resolver  Resolver         // nil: no name has an address, no address a name
	HTTP      *http.Client     // for HTTPGet and its like, and for CTI; nil: they fail
	CTI       CTI              // without a key CrowdsecCTI fails
	Logger    *zap.Logger      // nil: silent
	Now       func() time.Time // nil: time.Now
	Decisions DecisionCounts   // nil: counts are 0
	// Plain runs everything the plain way: the interpreter of expr alone, without
	// closures, automata and shared results. Parsers and scenarios that are compiled
	// with such an Env do likewise. It is slower and gives the same; tests hold the
	// two equal.
	Plain bool
}

// Env is what expressions of one generation of settings share: functions, data
// files, caches.
type Env struct {
	data      fs.FS
	find      func(DataFile) string
	geo       *geoip.Database
	resolver  Resolver
	web       *web
	cti       *cti
	log       *zap.Logger
	now       func() time.Time
	decisions DecisionCounts
	plain     bool

	functions map[string]*builtin.Function
	pure      map[string]bool // functions that may be evaluated at compile time
	remote    map[string]bool // functions that ask another machine
	warned    warnings
	documents *cache.Cache[*document]
	paths     *cache.Cache[xmlPath]
	frames    sync.Pool
	sources   sources  // what programs make of events
	patterns  patterns // those that expressions compute
	matchers  matchers // of data files

	mu       sync.Mutex // serialises AddData and Stash
	registry atomic.Pointer[registry]
}

// registry is what was added; it is replaced, never changed.
type registry struct {
	files   map[string]*dataFile
	missing map[string]bool // files that AddData has said are not there
	stashes map[string][]*stash
}

// New returns an Env without data files and stashes.
func New(o Options) *Env {
	e := &Env{data: o.Data, find: o.Find, geo: o.Geo, resolver: o.Resolver, log: o.Logger, now: o.Now,
		decisions: o.Decisions, plain: o.Plain}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.documents = cache.New[*document](documentCount, documentLife, "LRU", e.now)
	e.paths = cache.New[xmlPath](xmlPathCount, 0, "LRU", e.now)
	e.frames.New = func() any { return new(frame) }
	e.registry.Store(&registry{})
	e.web = newWeb(o.HTTP)
	e.cti = newCTI(o.CTI, e.web, e.now)
	e.addFunctions()
	return e
}

// Plain reports whether everything is to run the plain way; see Options.
func (e *Env) Plain() bool { return e.plain }

// Geo returns the database of places; nil where there is none, which is a database
// that knows nothing.
func (e *Env) Geo() *geoip.Database { return e.geo }

// Resolver returns what asks the DNS; nil where nothing may.
func (e *Env) Resolver() Resolver { return e.resolver }
