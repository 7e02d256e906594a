package appliance

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/firewall"
)

// repeats is how many bans within a day make a repeat offender.
const repeats = 2

// journalPage is how many changes are taken from the book at once.
const journalPage = 10_000

// wall keeps the firewall in line with the book. What goes to the kernel: bans
// from clients that were seen directly and that either have no HTTP layer to be
// refused in or keep coming; what an operator bans by hand goes there too.
type wall struct {
	st    *state
	mu    sync.Mutex
	table *firewall.Table
	conf  FirewallConfig
	// escalated are addresses that kept sending while banned; emptied with their bans.
	escalated map[netip.Addr]struct{}
	pending   []netip.Addr   // escalated, not yet applied
	allow     []netip.Prefix // as last given to the table
	problem   string
	kick      chan struct{}
}

func newWall(st *state) *wall {
	return &wall{st: st, escalated: map[netip.Addr]struct{}{}, kick: make(chan struct{}, 1)}
}

// use starts, stops or leaves the table as s says. Trouble with the kernel is
// reported and never fails a configuration: bans go on at the HTTP layer.
func (w *wall) use(s *Settings) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := s.config.Firewall
	if w.table != nil && w.conf.Mode == c.Mode && w.conf.Table == c.Table && *w.conf.Owner == *c.Owner {
		w.conf = c
		w.check(w.table.Set(context.Background(), w.want(), w.remember()), "updating")
		return
	}
	if w.table != nil {
		w.check(w.table.Close(false), "removing")
		w.table = nil
	}
	w.conf, w.problem = c, ""
	if c.Mode == FirewallOff {
		return
	}
	w.table = firewall.New(firewall.Options{DryRun: c.Mode == FirewallDryRun, Table: c.Table, Owner: *c.Owner,
		Now: time.Now, IPv6Prefix: s.config.IPv6Prefix, Report: func(e firewall.Event) {
			s.log.Named("firewall").Info(e.Text)
		}})
	w.check(w.table.Start(context.Background(), w.want(), w.remember()), "starting")
}

func (w *wall) check(err error, doing string) {
	if err == nil {
		w.problem = ""
		return
	}
	if errors.Is(err, firewall.ErrRefused) {
		w.st.owner.logger().Warn("the firewall does not take a ban; it holds at the HTTP layer", zap.Error(err))
		return
	}
	w.problem = doing + " the firewall: " + err.Error()
	w.st.owner.logger().Error(doing+" the firewall", zap.Error(err),
		zap.String("effect", "bans hold at the HTTP layer only"))
}

// run applies the book's changes as they come.
func (w *wall) run(ctx context.Context) {
	wake, stop := w.st.book.Watch()
	defer stop()
	var cursor int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			cursor = w.changes(cursor)
		case <-w.kick:
			w.refresh()
		}
	}
}

// changes applies what the book has since cursor and returns the next cursor.
func (w *wall) changes(cursor int64) int64 {
	for {
		page, next := w.st.book.Since(cursor, journalPage)
		if len(page) == 0 {
			return next
		}
		cursor = next
		w.mu.Lock()
		if w.table != nil {
			var add []firewall.Ban
			var remove []netip.Prefix
			for _, c := range page {
				p, ok := prefixOf(c.Decision)
				if !ok {
					continue
				}
				if b, ok := w.ban(c.Decision.Value, p); ok {
					add = append(add, b)
				} else {
					delete(w.escalated, p.Addr())
					remove = append(remove, p)
				}
			}
			w.check(errors.Join(w.table.Remove(remove...), w.table.Add(add...)), "updating")
		}
		w.mu.Unlock()
	}
}

// refresh applies what does not come through the book: addresses that kept
// sending, and changes of the allowlist.
func (w *wall) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	pending := w.pending
	w.pending = nil
	if w.table == nil {
		return
	}
	if !slices.Equal(w.allow, w.allowed()) {
		w.check(w.table.Set(context.Background(), w.want(), w.remember()), "updating")
		return
	}
	var add []firewall.Ban
	for _, a := range pending {
		for _, d := range w.st.book.List(decisions.Filter{Contains: a, Type: decisions.TypeBan, Active: true}) {
			if p, ok := prefixOf(d); ok && w.belongs(d, p) {
				add = append(add, firewall.Ban{Prefix: p, Until: d.Until, Origin: d.Origin})
			}
		}
	}
	w.check(w.table.Add(add...), "updating")
}

// escalate sends the bans of an address to the kernel from now on.
func (w *wall) escalate(a netip.Addr) {
	w.mu.Lock()
	if len(w.escalated) < maxHits {
		w.escalated[a] = struct{}{}
		w.pending = append(w.pending, a)
	}
	w.mu.Unlock()
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
	w.allow = w.allowed()
	return w.allow
}

// want are all bans that belong into the kernel. w.mu is held.
func (w *wall) want() []firewall.Ban {
	seen := map[string]bool{}
	var bans []firewall.Ban
	for _, d := range w.st.book.List(decisions.Filter{Type: "ban", Active: true}) {
		if seen[d.Value] {
			continue
		}
		seen[d.Value] = true
		if p, ok := prefixOf(d); ok {
			if b, ok := w.ban(d.Value, p); ok {
				bans = append(bans, b)
			}
		}
	}
	return bans
}

// ban is the kernel's ban for a value, from all that is decided about it.
func (w *wall) ban(value string, p netip.Prefix) (firewall.Ban, bool) {
	b := firewall.Ban{Prefix: p}
	for _, d := range w.st.book.List(decisions.Filter{Value: value, Type: "ban", Active: true}) {
		if w.belongs(d, p) && d.Until.After(b.Until) {
			b.Until, b.Origin = d.Until, d.Origin
		}
	}
	return b, b.Origin != ""
}

// belongs tells whether a decision is the kernel's business.
func (w *wall) belongs(d decisions.Decision, p netip.Prefix) bool {
	if !d.Direct || d.Simulated || d.Suppressed {
		return false
	}
	if d.Host == "" { // no site: an SSH login, an operator
		return true
	}
	for a := range w.escalated {
		if p.Contains(a) {
			return true
		}
	}
	return w.bans(d.Value) >= repeats
}

// bans counts the bans of a value within a day, those included that are over.
func (w *wall) bans(value string) (n int) {
	day := time.Now().Add(-24 * time.Hour)
	for _, a := range w.st.book.Alerts(decisions.AlertFilter{Value: value, Since: day}) {
		for _, d := range a.Decisions {
			if d.Type == decisions.TypeBan {
				n++
			}
		}
	}
	return n
}

func (w *wall) allowed() []netip.Prefix {
	var out []netip.Prefix
	for _, e := range w.st.allow.List() {
		out = append(out, e.Prefix)
	}
	return out
}

func prefixOf(d decisions.Decision) (netip.Prefix, bool) {
	p, err := ParsePrefix(d.Value)
	return p, err == nil && (d.Scope == "Ip" || d.Scope == "Range")
}

// FirewallStatus is what status shows of the firewall.
type FirewallStatus struct {
	Mode    string `json:"mode"`
	Problem string `json:"problem,omitempty"`
	firewall.Stats
}

func (w *wall) status() FirewallStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := FirewallStatus{Mode: w.conf.Mode, Problem: w.problem}
	if w.table != nil {
		s.Stats = w.table.Stats()
	}
	return s
}

func (w *wall) explain(a netip.Addr) (firewall.Ban, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		return firewall.Ban{}, false
	}
	return w.table.Explain(a)
}

func (w *wall) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table == nil {
		return nil
	}
	err := w.table.Close(*w.conf.Keep)
	w.table = nil
	return err
}
