package cluster

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

//go:embed journalplace.lua
var placeLua string

//go:embed journaljoin.lua
var joinLua string

//go:embed journalappend.lua
var appendLua string

//go:embed journallist.lua
var listLua string

//go:embed journalprune.lua
var pruneLua string

const (
	logEntries = 1_000_000      // changes that the log keeps
	logAge     = 24 * time.Hour // and for how long

	defaultMaxDecisions = 1_000_000
	defaultMaxAlerts    = 10_000
	defaultAlertAge     = 7 * 24 * time.Hour
)

// JournalOptions are those of a Journal.
type JournalOptions struct {
	Book   *decisions.Book // required; stays the caller's, close it after the Journal
	Logger *zap.Logger
	Now    func() time.Time
	Wake   func() // called after changes of other nodes were taken over; may be nil

	// What Redis keeps; 0 takes the default.
	MaxDecisions int           // 1,000,000; those that end first go
	MaxAlerts    int           // 10,000; the oldest go
	AlertAge     time.Duration // seven days

	scanBytes int // of decisions, of alerts and of allowlist entries that are read of a whole
}

// Journal makes the Books of a fleet one: what a Book records goes to a log in Redis,
// and what stands there, in its order, into the Books of all nodes. Redis has a copy
// of the whole besides, for nodes that come late. It is a decisions.Journal whose
// methods ask the Book alone and never wait for Redis. Safe for concurrent use.
type Journal struct {
	c    *Client
	book *decisions.Book
	o    JournalOptions
	log  *zap.Logger
	now  func() time.Time
	keys journalKeys

	joinScript, appendScript, listScript, pruneScript, placeScript *script

	lease *Lease

	sending sync.Mutex // held while changes are sent, so that they stay in order
	failing int        // times that Redis refused the oldest; guarded by sending
	fits    int        // changes in the last call; likewise
	mu      sync.Mutex
	at      position

	listing sync.Mutex                      // held while lists change here
	former  map[string]*decisions.Blocklist // by name, versions before those that wait to be sent

	turn  chan struct{} // for the sender: there is something else to try
	lists chan struct{} // for the keeper of lists: look again

	refused, dropped, known, sent, adopted, reconciles, restores, listLoads, listPatches, listFails atomic.Int64

	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once
}

// position is where a node stands in the log.
type position struct {
	joined bool // changes may be sent
	tails  bool // and all that there was before is in the Book
	epoch  string
	cursor string // last entry taken over
	n      int64  // its number
	last   string // last entry that is known to be there
	lastN  int64
}

// NewJournal starts to share the Book. Close ends it.
func NewJournal(c *Client, o JournalOptions) (*Journal, error) {
	if o.Book == nil {
		return nil, errors.New("sharing the journal: no book")
	}
	o.setDefaults()
	raw, err := hex.DecodeString(c.o.Node)
	if err != nil || len(raw) != 8 {
		return nil, fmt.Errorf("sharing the journal: node id %q: expected 16 hex digits", c.o.Node)
	}
	if err := o.Book.Share(binary.BigEndian.Uint64(raw), decisions.ShareOptions{}); err != nil {
		return nil, fmt.Errorf("sharing the journal: %w", err)
	}
	j := &Journal{
		c: c, book: o.Book, o: o, log: o.Logger, now: o.Now, keys: newJournalKeys(c), former: map[string]*decisions.Blocklist{},
		turn: make(chan struct{}, 1), lists: make(chan struct{}, 1),
		placeScript:  c.script("journal-place", placeLua+"return {place(ARGV[1], ARGV[2])}"),
		joinScript:   c.script("journal-join", placeLua+joinLua),
		appendScript: c.script("journal-append", placeLua+appendLua),
		listScript:   c.script("journal-list", placeLua+listLua),
		pruneScript:  c.script("journal-prune", pruneLua),
		lease:        c.Lease(houseLease),
	}
	j.at.epoch, j.at.cursor = j.book.Position()
	c.describe(func() (string, int64) {
		p := j.place()
		return p.cursor, max(p.lastN-p.n, 0)
	})
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel = cancel
	for _, task := range []func(context.Context){j.follow, j.send, j.keepHouse, j.keepLists} {
		j.tasks.Go(func() { task(ctx) })
	}
	return j, nil
}

func (o *JournalOptions) setDefaults() {
	o.Logger = cmp.Or(o.Logger, zap.NewNop())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	o.MaxDecisions = cmp.Or(o.MaxDecisions, defaultMaxDecisions)
	o.MaxAlerts = cmp.Or(o.MaxAlerts, defaultMaxAlerts)
	o.AlertAge = cmp.Or(o.AlertAge, defaultAlertAge)
	o.scanBytes = cmp.Or(o.scanBytes, maxScanBytes)
}

// Append is the Book's: in force here at once, on the other nodes soon.
func (j *Journal) Append(a *event.Alert, ds []decisions.Decision) error { return j.book.Append(a, ds) }

// Delete is the Book's.
func (j *Journal) Delete(f decisions.Filter, by string) ([]decisions.Decision, error) {
	return j.book.Delete(f, by)
}

// Since is the Book's: it has what came from other nodes as well. Cursors are this
// node's own.
func (j *Journal) Since(cursor int64, limit int) ([]decisions.Change, int64) {
	return j.book.Since(cursor, limit)
}

// Close tries to send what waits until ctx ends, then stops. What is left stays in
// the Book and is sent after the next start.
func (j *Journal) Close(ctx context.Context) error {
	var err error
	j.closed.Do(func() {
		for err == nil && j.place().joined && j.c.Up() {
			var more bool
			if more, err = j.sendSome(ctx); !more {
				break
			}
		}
		j.cancel()
		j.tasks.Wait()
	})
	if err != nil {
		return fmt.Errorf("sending the last changes, which stay recorded here: %w", err)
	}
	return nil
}

// JournalStats are a Journal's figures. Those of the second block only grow.
type JournalStats struct {
	Joined     bool          `json:"joined"` // in step with the log in Redis; else alone, or on the way there
	Epoch      string        `json:"epoch,omitempty"`
	Cursor     string        `json:"cursor,omitempty"` // last entry of the log that was taken over
	Last       string        `json:"last,omitempty"`   // last entry of the log, as known
	LagEntries int64         `json:"lag_entries"`
	Lag        time.Duration `json:"lag"`     // between those two
	Waiting    int           `json:"waiting"` // changes of this node that it has not met in the log yet

	Sent       int64 `json:"sent"`
	Adopted    int64 `json:"adopted"`
	Known      int64 `json:"known"`   // alerts that another node had told of before
	Refused    int64 `json:"refused"` // what was read from Redis and must not be
	Dropped    int64 `json:"dropped"` // changes that Redis would not take
	Lost       int64 `json:"lost"`    // changes that found no place while they waited for Redis
	Reconciles int64 `json:"reconciles"`
	Restores   int64 `json:"restores"` // times this node brought back what it had
	ListLoads  int64 `json:"list_loads"`
	// ListPatches are those of ListLoads for which only the difference was read.
	ListPatches int64 `json:"list_patches"`
	ListFails   int64 `json:"list_fails"`
}

// Stats returns the figures.
func (j *Journal) Stats() JournalStats {
	p, book := j.place(), j.book.Stats()
	return JournalStats{
		Joined: p.joined && p.tails, Epoch: p.epoch, Cursor: p.cursor, Last: p.last, LagEntries: max(p.lastN-p.n, 0), Lag: lagOf(p.cursor, p.last),
		Sent: j.sent.Load(), Adopted: j.adopted.Load(), Known: j.known.Load(), Refused: j.refused.Load(),
		Dropped: j.dropped.Load(), Reconciles: j.reconciles.Load(), Restores: j.restores.Load(),
		ListLoads: j.listLoads.Load(), ListPatches: j.listPatches.Load(), ListFails: j.listFails.Load(),
		Waiting: book.Ops, Lost: book.DroppedOps,
	}
}

// place returns where the node stands.
func (j *Journal) place() position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at
}

// moved changes where the node stands, and lets the sender look again.
func (j *Journal) moved(change func(*position)) {
	j.mu.Lock()
	change(&j.at)
	j.mu.Unlock()
	poke(j.turn)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// pause waits, no longer than until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
