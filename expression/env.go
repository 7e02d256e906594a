package expression

import (
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr/builtin"
	"go.uber.org/zap"
)

// On says which variables an expression sees.
type On uint8

// The sets of variables.
const (
	OnEvent    On = iota // evt
	OnQueue              // evt, queue, leaky
	OnOverflow           // evt, queue, signal, leaky
	OnAlert              // Alert
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

// Options for New. All may be left out.
type Options struct {
	Data      fs.FS            // data files by dest_file; nil: there are none
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
	log       *zap.Logger
	now       func() time.Time
	decisions DecisionCounts
	plain     bool

	functions map[string]*builtin.Function
	pure      map[string]bool // functions that may be evaluated at compile time
	warned    warnings
	documents *cache[*document]
	paths     *cache[xmlPath]
	frames    sync.Pool

	mu       sync.Mutex // serialises AddData and Stash
	registry atomic.Pointer[registry]
}

// registry is what was added; it is replaced, never changed.
type registry struct {
	files   map[string]*dataFile
	stashes map[string][]*cache[string]
}

// New returns an Env without data files and stashes.
func New(o Options) *Env {
	e := &Env{data: o.Data, log: o.Logger, now: o.Now, decisions: o.Decisions, plain: o.Plain}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.documents = newCache[*document](documentCount, documentLife, "LRU", e.now)
	e.paths = newCache[xmlPath](xmlPathCount, 0, "LRU", e.now)
	e.frames.New = func() any { return new(frame) }
	e.registry.Store(&registry{})
	e.functions, e.pure = e.table()
	return e
}

// Plain reports whether everything is to run the plain way; see Options.
func (e *Env) Plain() bool { return e.plain }
