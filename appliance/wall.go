package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/firewall"
)

const (
	// manyBans is from where on the memory that it took to compare bans goes back at once.
	manyBans = 200_000
	// journalPage is how many changes are taken from the book at once.
	journalPage = 10_000
	// startAgain is how long after a failed start the kernel is asked again: the
	// process that held the table may have ended, or the module been loaded.
	startAgain = 30 * time.Second
	// tableBucket has the names of the tables that this node has written, so that
	// none is left behind when the configuration names another one, or none.
	tableBucket = "firewall_tables"
)

// wall keeps the firewall in line with the book. Trouble with the kernel never
// fails a configuration: bans go on at the HTTP layer, and status tells.
type wall struct {
	st   *state
	kick chan struct{}

	// mu is held while the kernel works; the request path never takes it.
	mu        sync.Mutex
	conf      FirewallConfig
	prefix6   int
	table     *firewall.Table // nil when the mode is off
	running   bool            // Start succeeded
	retry     time.Time       // when to start again
	cursor    int64           // in the book's changes
	allow     []netip.Prefix  // as last given to the table
	onLists   listBans        // likewise
	wide      map[netip.Prefix]struct{}
	escalated *escalations

	unlisted atomic.Int64 // entries of lists that the table has no place for

	problem atomic.Pointer[string]
	face    atomic.Pointer[wallFace]

	urgent  sync.Mutex   // guards pending, and nothing that takes time
	pending []netip.Addr // kept sending; their bans are not in the kernel yet
}

// wallFace is what can be asked while the kernel works.
type wallFace struct {
	mode    string
	table   *firewall.Table
	running bool
}

// show makes face what holds now. w.mu is held.
func (w *wall) show() { w.face.Store(&wallFace{w.conf.Mode, w.table, w.running}) }

func newWall(st *state) (*wall, error) {
	e, err := loadEscalations(st.db, func(id int64) bool { _, ok := st.decision(id); return ok })
	if err != nil {
		return nil, fmt.Errorf("reading escalated decisions: %w", err)
	}
	w := &wall{st: st, kick: make(chan struct{}, 1), escalated: e}
	w.show()
	return w, nil
}

// use starts, stops or leaves the table as s says.
func (w *wall) use(s *Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.show()
	c, old := s.config.Firewall, w.table
	same := w.prefix6 == s.config.IPv6Prefix && w.conf.Mode == c.Mode && w.conf.Table == c.Table
	if old != nil && same && *w.conf.Owner == *c.Owner {
		w.conf = c
		w.replace()
		return
	}
	if old != nil && c.Mode == FirewallNftables && c.Table == w.conf.Table {
		// The next one finds the table in the kernel and swaps it for its own.
		w.check(old.Close(true))
		old = nil
	}
	w.conf, w.prefix6, w.table, w.running = c, s.config.IPv6Prefix, nil, false
	w.problem.Store(nil)
	w.cursor = w.st.book.Cursor()
	if c.Mode != FirewallOff {
		w.table = firewall.New(firewall.Options{DryRun: c.Mode == FirewallDryRun, Table: c.Table, Owner: *c.Owner,
			Now: time.Now, IPv6Prefix: w.prefix6, MaxEntries: maxBans, Report: w.report})
		w.start()
	}
	if old != nil {
		w.check(old.Close(false))
	}
	w.tidy()
}

// start puts the table into the kernel. w.mu is held.
func (w *wall) start() {
	if w.conf.Mode == FirewallNftables {
		if err := w.st.db.Put(tableBucket, w.conf.Table, []byte{1}); err != nil {
			w.st.owner.logger().Error("noting the name of the firewall table", zap.Error(err))
		}
	}
	err := w.table.Start(context.Background(), w.want(), w.remember())
	w.running = err == nil || onlyRefused(err)
	w.retry = time.Now().Add(startAgain)
	w.show()
	w.check(err)
}

// tidy deletes the tables of earlier configurations and runs, whose bans nobody
// would lift. w.mu is held.
func (w *wall) tidy() {
	var old []string
	err := w.st.db.Each(tableBucket, "", func(name string, _ []byte) error {
		if w.conf.Mode != FirewallNftables || name != w.conf.Table {
			old = append(old, name)
		}
		return nil
	})
	for _, name := range old {
		gone := firewall.CleanUp(name)
		if gone == nil || errors.Is(gone, firewall.ErrOwned) { // another process has it now
			gone = w.st.db.Delete(tableBucket, name)
		}
		if gone != nil {
			err = errors.Join(err, fmt.Errorf("deleting the firewall table %s of an earlier run, which still drops packets: %w", name, gone))
		}
	}
	if err != nil {
		w.check(err)
	}
}

// replace makes all bans and the whole allowlist what the table holds. w.mu is held.
func (w *wall) replace() {
	w.cursor = w.st.book.Cursor()
	bans := w.want()
	w.check(w.table.Set(context.Background(), bans, w.remember()))
	if bans.Len > manyBans {
		// What they were compared with is as large as what is kept. The collector
		// alone would hold on to that for minutes.
		debug.FreeOSMemory()
	}
}

// check keeps and logs what went wrong with the kernel, once.
func (w *wall) check(err error) {
	switch {
	case err == nil:
		if w.running {
			w.problem.Store(nil)
		}
	case onlyRefused(err):
		w.st.owner.logger().Warn("the firewall does not take a ban; it holds at the HTTP layer", zap.Error(err))
	default:
		text := err.Error()
		if was := w.problem.Swap(&text); was == nil || *was != text {
			w.st.owner.logger().Error("the firewall is not as it should be; bans hold at the HTTP layer only", zap.Error(err))
		}
	}
}

// onlyRefused: the table refused single bans, and there is no other trouble.
func onlyRefused(err error) bool {
	switch e := err.(type) {
	case *firewall.RefusedError:
		return true
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(one error) bool { return !onlyRefused(one) })
	}
	return errors.Is(err, firewall.ErrRefused)
}

// report logs what the table says of itself. It runs on the table's goroutine,
// which w.mu may wait for, and takes no lock.
func (w *wall) report(e firewall.Event) {
	log := w.st.owner.logger().Named("firewall")
	switch e.Kind {
	case firewall.EventDryRun:
		if e.Err == nil {
			log.Info("dry run: packets are not dropped")
		}
	case firewall.EventWould:
		log.Info("dry run: bans would change", zap.Int("added", e.Added), zap.Int("removed", e.Removed), zap.Int("bans", e.Entries))
	case firewall.EventDrift:
		log.Warn("somebody changed the table", zap.String("what", e.Text), zap.String("by", e.By))
	case firewall.EventFailed:
		log.Error("writing to the kernel", zap.Error(e.Err))
	case firewall.EventEvicting:
		log.Warn(e.Text)
	default:
		w.problem.Store(nil)
		log.Info(string(e.Kind), zap.String("table", e.Text), zap.Int("bans", e.Entries))
	}
}

// run applies the book's changes as they come.
func (w *wall) run(ctx context.Context) {
	wake, stop := w.st.book.Watch()
	defer stop()
	w.changes() // what came before there was somebody to wake
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			w.changes()
		case <-w.kick:
			w.refresh()
		}
	}
}

// changes applies what the book has to tell.
func (w *wall) changes() {
	for w.change() {
	}
}

// change applies one page, and reports whether there may be more.
func (w *wall) change() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		w.cursor = w.st.book.Cursor() // a table that is started later begins with all bans
		return false
	}
	page, next := w.st.book.Since(w.cursor, journalPage)
	w.cursor = next
	var touched []decisions.Decision
	var over []int64
	for _, c := range page {
		if c.Reset {
			w.replace()
			return true
		}
		if c.Gone {
			over = append(over, c.Decision.ID)
		}
		if c.Decision.Type == decisions.TypeBan {
			touched = append(touched, c.Decision)
		}
	}
	if err := w.escalated.drop(over); err != nil {
		w.st.owner.logger().Error("forgetting escalated decisions", zap.Error(err))
	}
	if !slices.Equal(w.onLists.lists, w.st.book.Lists()) {
		w.replace() // costs the kernel no more than what is different
		return true
	}
	w.update(touched)
	return len(page) > 0
}

// update brings the kernel's bans of these decisions' values in line with the
// book, in one transaction. w.mu is held.
func (w *wall) update(touched []decisions.Decision) {
	var add []firewall.Ban
	var remove []netip.Prefix
	seen := make(map[netip.Prefix]bool, len(touched))
	for i := range touched {
		p := touched[i].Prefix()
		if !p.IsValid() || seen[p] {
			continue
		}
		seen[p] = true
		b, banned := w.ban(p, touched[i].Value)
		if w.mayRemove(p, banned) {
			remove = append(remove, p) // also before adding, which never shortens
		}
		if banned {
			add = append(add, b)
		}
	}
	if len(add)+len(remove) > 0 {
		w.check(w.table.Update(add, remove))
	}
}

// mayRemove reports whether removing p takes away no more than bans of p itself:
// to the table an IPv6 network of the width by which single addresses are banned
// stands for all of those. It notes whether p is there from now on. w.mu is held.
func (w *wall) mayRemove(p netip.Prefix, banned bool) bool {
	if p.Addr().Is4() || p.IsSingleIP() || p.Bits() != w.prefix6 {
		return true
	}
	_, was := w.wide[p]
	if banned {
		w.wide[p] = struct{}{}
	} else {
		delete(w.wide, p)
	}
	return was
}

// refresh applies what does not come through the book: addresses that kept
// sending, changes of the allowlist, and starting again.
func (w *wall) refresh() {
	w.urgent.Lock()
	pending := w.pending
	w.pending = nil
	w.urgent.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		return
	}
	var ids []int64
	var touched []decisions.Decision
	for _, a := range pending {
		for _, d := range w.st.book.List(decisions.Filter{Contains: a, Type: decisions.TypeBan, Active: true}) {
			if !d.Direct || d.Simulated {
				continue
			}
			if touched = append(touched, d); d.Host != "" { // the others belong there anyway
				ids = append(ids, d.ID)
			}
		}
	}
	if err := w.escalated.add(ids); err != nil {
		w.st.owner.logger().Error("noting escalated decisions; a restart forgets them", zap.Error(err))
	}
	if !w.running && time.Now().After(w.retry) {
		w.start()
		w.tidy()
		return
	}
	if !slices.Equal(w.allow, w.st.allow.Ranges()) || w.onLists.lag(time.Now()) {
		w.replace()
		return
	}
	w.update(touched)
}

// escalate sends the bans of an address to the kernel from now on. It waits for
// nothing.
func (w *wall) escalate(a netip.Addr) {
	w.urgent.Lock()
	if len(w.pending) < maxHits {
		w.pending = append(w.pending, a)
	}
	w.urgent.Unlock()
	w.look()
}

// look has refresh run soon; it never waits.
func (w *wall) look() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// remember returns the allowlist and notes that the table has it. w.mu is held.
func (w *wall) remember() []netip.Prefix {
	w.allow = w.st.allow.Ranges()
	return w.allow
}

func (w *wall) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		return nil
	}
	err := w.table.Close(*w.conf.Keep)
	w.table = nil
	w.show()
	return err
}
