package decisions

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

const (
	defaultMaxAlerts     = 10_000
	defaultMaxAlertBytes = 1 << 30
	defaultAlertAge      = 7 * 24 * time.Hour
	defaultMaxDecisions  = 1_000_000
)

// BookOptions are those of a Book.
type BookOptions struct {
	DB    *store.DB // stays the caller's; close it after the Book
	Allow *Allow    // nil: a table of its own, see Book.Allow
	// Now is the clock. Leave it nil in production: then lookups take the time
	// from a ticker of the Book's and read the clock, which costs more than the
	// rest of a lookup, only for what ends within two seconds.
	Now    func() time.Time
	Logger *zap.Logger

	// Alerts above the first two limits, or older than the third, go, the oldest
	// first, but never one that a decision still kept points at.
	MaxAlerts     int           // 0: 10,000
	MaxAlertBytes int64         // on disk; 0: 1 GiB
	AlertAge      time.Duration // 0: seven days
	MaxDecisions  int           // 0: 1,000,000; above it those that end first go
}

// Book is the journal of a single node: all in memory, with indexes, and written
// behind to the database. Its Set is up to date when Append or Delete returns.
type Book struct {
	o     BookOptions
	set   *Set
	disk  *writer
	watch watchers

	// write serialises all that change the book. mu guards the memory: whoever
	// holds write may read without it, and takes it to change something.
	write   sync.Mutex
	listing sync.Mutex // serialises changes of lists; taken before write
	mu      sync.RWMutex
	index   *index
	alerts  *alertIndex
	history history
	log     changelog
	pending pending
	// echoAlarms are for when decisions are told again.
	echoAlarms alarms
	lists      listlog
	fleet      fleet
	decision   *counter
	alert      *counter
	closed     bool
	closing    error
	once       sync.Once
	stop       chan struct{}
	ticking    sync.WaitGroup
	// simulate says which lists only simulate, nil: none. Guarded by listing.
	simulate func(name string) bool

	cutValues, droppedEvidence, evictedDecisions, damaged, refusedOps atomic.Int64
}

// OpenBook loads the journal. A record that cannot be understood is logged,
// counted and left alone; the others are loaded. Fill the Allow table with the
// node's own entries first (SetBuiltin).
func OpenBook(o BookOptions) (*Book, error) {
	if o.DB == nil {
		return nil, errors.New("opening the journal: no database")
	}
	tick := o.Now == nil
	if tick {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Allow == nil {
		o.Allow = NewAllow(o.Now)
	}
	if o.MaxAlerts <= 0 {
		o.MaxAlerts = defaultMaxAlerts
	}
	if o.MaxAlertBytes <= 0 {
		o.MaxAlertBytes = defaultMaxAlertBytes
	}
	if o.AlertAge <= 0 {
		o.AlertAge = defaultAlertAge
	}
	if o.MaxDecisions <= 0 {
		o.MaxDecisions = defaultMaxDecisions
	}
	names, keys := newNames(), newKeyer()
	b := &Book{
		o:       o,
		set:     NewSet(o.Allow, o.Now),
		index:   newIndex(names, keys),
		alerts:  newAlertIndex(names, keys, alertLimits{o.MaxAlerts, o.MaxAlertBytes, o.AlertAge}),
		history: newHistory(),
		stop:    make(chan struct{}),
	}
	b.log = changelog{records: b.index, now: o.Now, shadowed: b.shadowed}
	if err := b.load(); err != nil {
		return nil, err
	}
	b.sweepListed() // the allowlist may have changed since
	if tick {
		b.ticking.Go(b.tick)
	}
	return b, nil
}

// tick tells the set what time it is, until Close.
func (b *Book) tick() {
	const every = 100 * time.Millisecond
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		b.set.coarse.Store(time.Now().UnixMilli())
		select {
		case <-t.C:
		case <-b.stop:
			b.set.coarse.Store(0)
			return
		}
	}
}

// Set returns what lookups ask.
func (b *Book) Set() *Set { return b.set }

// Allow returns the allowlist.
func (b *Book) Allow() *Allow { return b.o.Allow }

// Watch returns a channel that holds a signal whenever Since has more than at the
// last receive, and what ends the subscription.
func (b *Book) Watch() (wake <-chan struct{}, stop func()) { return b.watch.add() }

// Since is the Journal's. Simulated decisions are among the changes: whoever
// enforces leaves them out.
func (b *Book) Since(cursor int64, limit int) (cs []Change, next int64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.log.since(cursor, limit)
}

// CursorAt returns a cursor from which Since tells at least all that happened since
// t, for a subscriber whose own is of another run: a Reset if that is not known.
func (b *Book) CursorAt(t time.Time) int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.log.cursorAt(t)
}

// Cursor is where Since has nothing more to tell just now.
func (b *Book) Cursor() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.log.last()
}

// Flush waits until what was recorded before is on disk.
func (b *Book) Flush(ctx context.Context) error { return b.disk.flush(ctx) }

// Close writes what is left. The Set goes on answering with what it has; writing
// to the book is an error from now on. Closing twice is fine.
func (b *Book) Close() error {
	b.once.Do(func() {
		b.o.Allow.detach(b)
		b.write.Lock()
		b.closed = true
		b.disk.add(
			b.decision.closing(),
			b.alert.closing(),
		)
		b.write.Unlock()
		b.closing = b.disk.close()
		close(b.stop)
		b.ticking.Wait()
	})
	return b.closing
}

// BookStats are a Book's figures; those of the second block only grow.
type BookStats struct {
	Decisions, Suppressed, Alerts, History, Queued int
	// AlertBytes is what the alerts take in the database, its own overhead apart.
	AlertBytes int64
	// InForce counts by type the decisions that are neither suppressed nor
	// simulated. Those that ended since the last Expire are among them.
	InForce map[string]int
	// WriteError is what was wrong with the latest attempt to write, if anything.
	WriteError error

	CutValues        int64 // texts of alerts cut short
	DroppedEvidence  int64 // events and items of alerts left out
	EvictedDecisions int64 // ended early because there were too many
	EvictedHistory   int64
	Blocked          int64 // writes that had to wait for the disk
	WriteFailures    int64
	Damaged          int64 // records on disk that could not be understood
	DroppedOps       int64 // changes the fleet was not told of, for want of place
	RefusedOps       int64 // what others said and was not believed

	// Ops are those that the fleet's log has not told of yet, OpBytes their size.
	Ops     int
	OpBytes int64
}

// Stats returns the figures; it costs the same however many decisions there are.
func (b *Book) Stats() BookStats {
	b.mu.RLock()
	s := BookStats{
		Decisions:      len(b.index.byID),
		Alerts:         len(b.alerts.byID),
		AlertBytes:     b.alerts.bytes,
		History:        len(b.history.queue) - b.history.head,
		EvictedHistory: b.history.evicted,
		Suppressed:     b.index.suppressed,
		InForce:        maps.Clone(b.index.inForce),
	}
	b.mu.RUnlock()
	b.disk.mu.Lock()
	s.Queued, s.WriteError = len(b.disk.queue), b.disk.err
	b.disk.mu.Unlock()
	b.fleet.ops.mu.Lock()
	s.Ops, s.OpBytes, s.DroppedOps = b.fleet.ops.count, b.fleet.ops.bytes, b.fleet.ops.dropped
	b.fleet.ops.mu.Unlock()
	s.RefusedOps = b.refusedOps.Load()
	s.CutValues = b.cutValues.Load()
	s.DroppedEvidence = b.droppedEvidence.Load()
	s.EvictedDecisions = b.evictedDecisions.Load()
	s.Blocked = b.disk.blocked.Load()
	s.WriteFailures = b.disk.failures.Load()
	s.Damaged = b.damaged.Load()
	return s
}

// alertDecision is d as the alert model has it. CrowdSec compatible: the duration
// is what is left at now, as Go writes it.
func alertDecision(d *Decision, now time.Time) event.AlertDecision {
	return event.AlertDecision{
		ID: d.ID, UUID: d.UUID, Type: d.Type, Scope: d.Scope, Value: d.Value, Origin: d.Origin, Scenario: d.Scenario,
		Duration: d.Until.Sub(now).Round(time.Second).String(), Until: d.Until.Format(time.RFC3339),
		Simulated: d.Simulated, Suppressed: d.Suppressed,
	}
}
