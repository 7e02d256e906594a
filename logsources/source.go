package logsources

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// ErrRefused is what a Sink returns when it took none of the lines, for example
// because ctx ended while it waited for room. Then, and only then, the source
// may put its position back and deliver the same lines again later.
var ErrRefused = errors.New("the sink took none of the lines")

// ErrEnded is the reason of a restart when a source returned without an error
// although nobody had asked it to stop.
var ErrEnded = errors.New("the source ended by itself")

// Sink takes lines. Accept blocks while the receiver is busy, which is how
// back-pressure reaches the source, and returns once ctx is done. The slice and
// its lines belong to the sink from the call on; only the map in Line.Labels is
// shared by all lines of a source and must not be written.
//
// An error that wraps ErrRefused says that no line was taken. After any other
// error the lines count as delivered, since a line must never arrive twice.
type Sink interface {
	Accept(ctx context.Context, lines []event.Line) error
}

// Positions keeps how far a source has read, by key. A Save must be visible to a
// later Load even if the process is killed right after Save returned. Keys are
// printable text; values are a few hundred bytes. A Positions that also has
// Forget(key string) error is told about keys that will not be used again.
type Positions interface {
	Load(key string) ([]byte, bool)
	Save(key string, value []byte) error
}

// Source reads one input. Run blocks until ctx is done, and then returns soon
// with whatever error; it returns earlier only when it cannot go on, and is then
// started anew by the supervisor with a Source from Spec.New. Run is called once
// in the life of a Source. It has no goroutine or process left when it returns.
type Source interface {
	Run(ctx context.Context, sink Sink) error
}

// Spec describes a source that can be started, any number of times. New must
// not open anything that it could leak: that is for Run.
type Spec struct {
	Key  string // identity: a source whose key is unchanged is left running
	Name string // what people call it, for example its pattern
	Type string // kind of source: "file", "journald"
	New  func(env Environment) (Source, error)
}

// Environment is what a source gets from its surroundings.
type Environment struct {
	Positions Positions
	Logger    *zap.Logger
	Now       func() time.Time
	Counters  *Counters

	// Report tells the trouble that the running source has at present; nil says
	// that it has none. It replaces what was reported before, may be called
	// often with the same text, and never blocks for long.
	Report func(trouble error)
}

// WithDefaults returns e with everything set that was nil: positions that are
// forgotten with the process, no log, the wall clock, counters of its own.
func (e Environment) WithDefaults() Environment {
	if e.Positions == nil {
		e.Positions = newVolatile()
	}
	if e.Logger == nil {
		e.Logger = zap.NewNop()
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Counters == nil {
		e.Counters = &Counters{}
	}
	if e.Report == nil {
		e.Report = func(error) {}
	}
	return e
}

// Counters counts what a source did since it was configured, over restarts.
type Counters struct {
	Lines       atomic.Int64 // handed to the sink
	Bytes       atomic.Int64 // read, of complete lines with their newlines
	TooLong     atomic.Int64 // lines skipped because of their length
	Binary      atomic.Int64 // delivered lines that look like no text
	Truncations atomic.Int64 // files that became shorter under the reader
	Rotations   atomic.Int64 // files that were replaced by another one
	Restarts    atomic.Int64 // times the source was started again
	Files       atomic.Int64 // gauge: files open at present
	LastLine    atomic.Int64 // when a line was last delivered, Unix nanoseconds; 0 = never
}
