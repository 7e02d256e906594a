package decisions

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

const (
	aggregateBucket = "aggregate" // ranges that somebody deleted, and until when that holds
	// maxAggregated bounds the bans that are looked at, maxRefused the deleted ranges.
	maxAggregated = 1 << 18
	maxRefused    = 1 << 12
	aggregateRead = 1000 // changes at a time
	aggregateTick = 10 * time.Second
)

// AggregateOptions are those of an Aggregator. Book and DB must be given.
type AggregateOptions struct {
	Book *Book
	DB   *store.DB // stays the caller's
	// Append records what is made; nil: Book.Append.
	Append func(*event.Alert, []Decision) error
	// Leads reports whether it is for this node to make ranges, of several that see
	// the same bans; nil: it is.
	Leads  func() bool
	Now    func() time.Time // nil: time.Now
	Logger *zap.Logger      // nil: none
}

// Aggregator follows a Book and bans ranges of which many addresses are banned. Single
// bans stay as they are. A range with an allowed address in it is never banned, nor is
// one that is banned anyway for long enough; entries of lists do not count, nor what is
// simulated. A range that somebody deletes is not banned again for AggregateConfig.Within,
// across restarts.
//
//	Book.Since ─► bans by range ─► Count within Within ─► Append (alert, ban of the range)
//
// Its memory is bounded: bans made longer than Within ago are forgotten, and above
// 262,144 new ones are left out and counted. Safe for concurrent use; Run is the one
// goroutine at work.
type Aggregator struct {
	o      AggregateOptions
	poke   chan struct{}
	config atomic.Pointer[AggregateConfig] // nil: off

	mu      sync.Mutex // of step
	using   *AggregateConfig
	leads   bool
	cursor  int64
	pruned  time.Time
	groups  map[netip.Prefix]map[int64]member // by range, then by decision
	place   map[int64]netip.Prefix            // the range that a decision counts for
	dirty   map[netip.Prefix]struct{}         // ranges to look at
	made    map[int64]ranged                  // bans of ranges of ours in force
	refused map[netip.Prefix]time.Time        // until when a range is not banned again

	stats struct{ made, spared, deleted, left, failed, members, ranges atomic.Int64 }
}

// member is a ban that counts for a range.
type member struct {
	unit netip.Prefix // what is counted: an IPv4 address, a /64, or a range of ours
	at   time.Time    // when it was made, or prolonged
}

// ranged is a ban of a range.
type ranged struct {
	prefix netip.Prefix
	until  time.Time
}

// AggregateStats are an Aggregator's figures. The first two are of now.
type AggregateStats struct {
	Members, Ranges int64 // bans looked at, and ranges banned
	Made            int64 // ranges banned or prolonged since the start
	Spared          int64 // looks at a range that an allowed address spared
	Deleted         int64 // ranges that somebody deleted before their end
	LeftOut         int64 // bans that there was no place to look at
	Failed          int64 // ranges that could not be recorded
}

// OpenAggregator returns an Aggregator that is off. Damaged records are left out.
func OpenAggregator(o AggregateOptions) (*Aggregator, error) {
	if o.Append == nil {
		o.Append = o.Book.Append
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	g := &Aggregator{o: o, poke: make(chan struct{}, 1), refused: map[netip.Prefix]time.Time{}}
	err := o.DB.Each(aggregateBucket, "", func(key string, value []byte) error {
		if p, until, ok := readRefused(key, value); ok && len(g.refused) < maxRefused {
			g.refused[p] = until
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading deleted ranges: %w", err)
	}
	g.forget()
	return g, nil
}

func readRefused(key string, value []byte) (netip.Prefix, time.Time, bool) {
	p, err := netip.ParsePrefix(key)
	if err != nil || len(value) != 8 {
		return p, time.Time{}, false
	}
	ms := int64(binary.BigEndian.Uint64(value))
	return p, timeOf(ms), p == p.Masked() && ms > 0 && ms <= maxMillis
}

// Use puts a configuration in force that Complete returned; nil is off.
func (g *Aggregator) Use(c *AggregateConfig) {
	g.config.Store(c)
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// Run follows the Book until ctx ends.
func (g *Aggregator) Run(ctx context.Context) {
	wake, stop := g.o.Book.Watch()
	defer stop()
	tick := time.NewTicker(aggregateTick)
	defer tick.Stop()
	for {
		g.step()
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-g.poke:
		case <-tick.C:
		}
	}
}

// Stats returns the figures.
func (g *Aggregator) Stats() AggregateStats {
	s := &g.stats
	return AggregateStats{Members: s.members.Load(), Ranges: s.ranges.Load(), Made: s.made.Load(), Spared: s.spared.Load(),
		Deleted: s.deleted.Load(), LeftOut: s.left.Load(), Failed: s.failed.Load()}
}

// step takes in what is new in the Book, and bans what that makes ripe.
func (g *Aggregator) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.config.Load()
	if c != g.using {
		g.forget()
		g.using = c
	}
	if c == nil {
		return
	}
	for now := g.o.Now(); ; {
		cs, next := g.o.Book.Since(g.cursor, aggregateRead)
		for i := range cs {
			g.take(&cs[i], now)
		}
		if g.cursor = next; len(cs) == 0 {
			break
		}
	}
	now := g.o.Now()
	if now.Sub(g.pruned) >= aggregateTick || now.Before(g.pruned) {
		g.prune(now)
		g.pruned = now
	}
	leads := g.o.Leads == nil || g.o.Leads()
	if leads && !g.leads {
		for p := range g.groups {
			g.dirty[p] = struct{}{}
		}
	}
	g.leads = leads
	for p := range g.dirty {
		if leads {
			g.consider(p, now)
		}
	}
	clear(g.dirty)
	g.stats.members.Store(int64(len(g.place)))
	g.stats.ranges.Store(int64(len(g.made)))
}

// forget begins anew with the Book; what was deleted is remembered.
func (g *Aggregator) forget() {
	g.cursor, g.leads = 0, false
	g.groups, g.place = map[netip.Prefix]map[int64]member{}, map[int64]netip.Prefix{}
	g.dirty, g.made = map[netip.Prefix]struct{}{}, map[int64]ranged{}
}

// take takes in one change.
func (g *Aggregator) take(c *Change, now time.Time) {
	d := &c.Decision
	switch {
	case c.Reset:
		g.forget()
	case c.Gone:
		g.gone(c, now)
	case d.Type != TypeBan || !d.enforceable():
	default:
		p := d.Prefix()
		if !p.IsValid() {
			return
		}
		if d.Origin == OriginAggregate {
			g.made[d.ID] = ranged{p, d.Until}
		}
		g.count(d, p, now)
	}
}

// count counts a ban for its range.
func (g *Aggregator) count(d *Decision, p netip.Prefix, now time.Time) {
	unit, group, ok := g.using.group(p, d.Origin)
	if !ok || now.Sub(d.Created) >= g.using.Within {
		return
	}
	if _, had := g.place[d.ID]; !had && len(g.place) >= maxAggregated {
		g.stats.left.Add(1)
		return
	}
	if g.groups[group] == nil {
		g.groups[group] = map[int64]member{}
	}
	g.groups[group][d.ID] = member{unit, d.Created}
	g.place[d.ID] = group
	g.dirty[group] = struct{}{}
}

// group returns what a ban of p counts as, and for which range.
func (c *AggregateConfig) group(p netip.Prefix, origin string) (unit, group netip.Prefix, ok bool) {
	bits := 0
	switch {
	case p.Addr().Is4():
		if p.IsSingleIP() {
			unit, bits = p, c.Prefix4
		}
	case p.Bits() >= width64:
		unit, bits = netip.PrefixFrom(p.Addr(), width64).Masked(), c.Prefixes6[0]
	case origin == OriginAggregate:
		for i, n := range c.Prefixes6[1:] {
			if p.Bits() == c.Prefixes6[i] {
				unit, bits = p, n
			}
		}
	}
	if bits == 0 {
		return unit, group, false
	}
	return unit, netip.PrefixFrom(p.Addr(), bits).Masked(), true
}

// gone takes a decision out. If it is a ban of ours that somebody ended, that holds.
func (g *Aggregator) gone(c *Change, now time.Time) {
	d := &c.Decision
	g.drop(d.ID)
	r, ours := g.made[d.ID]
	if !ours {
		return
	}
	delete(g.made, d.ID)
	end := d.Until
	if now.Before(end) {
		end = now
	}
	if d.Suppressed || r.until.Sub(end) <= time.Second {
		return
	}
	g.stats.deleted.Add(1)
	until := now.Add(g.using.Within)
	if _, had := g.refused[r.prefix]; !had && len(g.refused) >= maxRefused {
		return // what is not remembered would stay on disk
	}
	g.refused[r.prefix] = until
	if err := g.o.DB.Put(aggregateBucket, r.prefix.String(), be64(until.UnixMilli())); err != nil {
		g.o.Logger.Error("keeping that a range was deleted", zap.Stringer("range", r.prefix), zap.Error(err))
	}
}

func (g *Aggregator) drop(id int64) {
	group, ok := g.place[id]
	if !ok {
		return
	}
	delete(g.place, id)
	if delete(g.groups[group], id); len(g.groups[group]) == 0 {
		delete(g.groups, group)
	}
}

// prune lets go what is too long ago.
func (g *Aggregator) prune(now time.Time) {
	for _, members := range g.groups {
		for id, m := range members {
			if now.Sub(m.at) >= g.using.Within {
				g.drop(id)
			}
		}
	}
	var errs []error
	for p, until := range g.refused {
		if !until.After(now) {
			delete(g.refused, p)
			errs = append(errs, g.o.DB.Delete(aggregateBucket, p.String()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		g.o.Logger.Warn("forgetting deleted ranges", zap.Error(err))
	}
}
