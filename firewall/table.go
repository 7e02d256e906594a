package firewall

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Table is the nftables table with the banned addresses, or in dry-run the
// record of what it would hold.
type Table struct {
	o           Options
	repairEvery time.Duration

	// write is held by whoever changes the mirror or the kernel. Its holder may
	// read what mu guards without mu, and needs mu to change it.
	write      sync.Mutex
	kernel     *kernel // nil in dry-run
	dirty      bool    // the kernel may differ from the mirror
	lastRepair time.Time
	steps      clockSteps
	loop       *loop
	closed     bool
	closing    sync.Once
	closeErr   error

	mu        sync.RWMutex
	mirror    *mirror
	allow     []span
	origins   []string
	originIDs map[string]uint16
	evicting  bool
	stats     Stats // Dropped and Entries are filled in by Stats
	counters  *counters
	missed    atomic.Int64 // reports
}

// New returns a Table that holds nothing and is in dry-run until Start.
func New(o Options) *Table {
	o = o.withDefaults()
	t := &Table{
		o:           o,
		repairEvery: repairEvery,
		mirror:      newMirror(o.MaxEntries, 0),
		originIDs:   make(map[string]uint16),
		counters:    newCounters(),
	}
	t.stats.Mode = ModeDryRun
	return t
}

// Start puts a table with these bans into the kernel in the place of one that a
// dead process left: that one works on until a single transaction swaps the
// two. ctx bounds Start alone. After ErrNoPrivilege, ErrUnsupported, ErrOwned
// or any other error of the kernel the Table is in dry-run, and Start may be
// tried again. Errors that match ErrRefused tell of single bans; the rest
// stands.
func (t *Table) Start(ctx context.Context, bans Bans, allow []netip.Prefix) error {
	t.write.Lock()
	defer t.write.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.kernel != nil {
		return errors.New("starting the firewall table: it is started already")
	}
	if err := CheckTable(t.o.Table); err != nil {
		return err
	}
	if t.loop == nil {
		t.loop = startLoop(t)
	}
	next, ranges, refused := t.desired(bans, allow)
	t.adopt(next, ranges)
	if t.o.DryRun {
		t.report(Event{Kind: EventDryRun, Text: "asked for by the configuration"})
		return refused
	}
	k, err := openKernel(t.o, t.counters, t.loop.wakeUp)
	if err == nil {
		if err = k.replace(ctx, t.plan()); err != nil {
			err = errors.Join(err, k.close(true))
		}
	}
	if err != nil {
		err = fmt.Errorf("starting the firewall table: %w", err)
		t.report(Event{Kind: EventDryRun, Text: "packets are not dropped", Err: err})
		return errors.Join(err, refused)
	}
	t.kernel, t.dirty = k, false
	t.steps.take(t.o.Now())
	t.publish()
	t.report(Event{Kind: EventStarted, Entries: len(t.mirror.entries), Text: "table inet " + k.name()})
	return refused
}

// Set makes bans and allow all that the table holds. Equal input costs no
// transaction; changed bans are written one by one; changed allow prefixes, by
// a swap of the whole table. Of bans with the same prefix the longest counts,
// so that Set, unlike Add, can shorten a ban.
func (t *Table) Set(ctx context.Context, bans Bans, allow []netip.Prefix) error {
	t.write.Lock()
	defer t.write.Unlock()
	if t.closed {
		return ErrClosed
	}
	next, ranges, refused := t.desired(bans, allow)
	now := t.o.Now()
	rebuild := !slices.Equal(ranges, t.allow)
	changes := t.mirror.changesTo(next, now.UnixNano())
	t.adopt(next, ranges)
	if rebuild && t.kernel != nil {
		return errors.Join(t.rebuild(ctx), refused)
	}
	return errors.Join(t.commit(ctx, changes), refused)
}

// Add bans at once: the packets of the prefixes are dropped when it returns. A
// ban that is there already is lengthened, never shortened. Bad prefixes come
// back as *RefusedError, and the others are written.
func (t *Table) Add(bans ...Ban) error { return t.Update(bans, nil) }

// Remove ends the bans of these prefixes at once, whatever their origin. Name
// them as they were given: of two single IPv6 addresses that share an entry
// the other one stays. A prefix as List shows it removes all that share it.
func (t *Table) Remove(prefixes ...netip.Prefix) error { return t.Update(nil, prefixes) }

// Update removes and then adds in one transaction, as Remove and Add do. With a
// prefix in both, a ban can change without a moment in which it is not there.
func (t *Table) Update(add []Ban, remove []netip.Prefix) error {
	t.write.Lock()
	defer t.write.Unlock()
	if t.closed {
		return ErrClosed
	}
	now := t.o.Now()
	changes, refused := t.edit(add, remove, now)
	return errors.Join(t.commit(context.Background(), slices.Values(changes)), refused)
}

// edit applies one update to the mirror.
func (t *Table) edit(add []Ban, remove []netip.Prefix, now time.Time) ([]change, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var no refusals
	t.mirror.expire(now.UnixNano())
	t.mirror.before = make(map[key]entry, min(len(add)+len(remove), t.o.MaxEntries))
	for _, p := range remove {
		source, target, err := normalise(p, t.o.IPv6Prefix)
		if errors.Is(err, ErrInvalid) {
			no.add(p, err)
		}
		if err != nil {
			continue // it cannot be there
		}
		t.mirror.remove(keyOf(source), keyOf(target), now.UnixNano())
	}
	t.fill(t.mirror, slices.Values(add), now, &no)
	changes := t.mirror.touched(now.UnixNano())
	t.stats.Refused += int64(no.total)
	return changes, no.err()
}

// desired turns the arguments of Set into a mirror and ranges.
func (t *Table) desired(bans Bans, allow []netip.Prefix) (*mirror, []span, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var no refusals
	next := newMirror(t.o.MaxEntries, bans.Len)
	next.evicted = t.mirror.evicted
	if bans.All != nil {
		t.fill(next, bans.All, t.o.Now(), &no)
	}
	ranges := spans(allow, &no)
	t.stats.Refused += int64(no.total)
	return next, ranges, no.err()
}

// fill puts bans into m.
func (t *Table) fill(m *mirror, bans iter.Seq[Ban], now time.Time, no *refusals) {
	before := m.evicted
	for b := range bans {
		source, target, err := normalise(b.Prefix, t.o.IPv6Prefix)
		if err != nil {
			no.add(b.Prefix, err)
			continue
		}
		e := entry{until: instant(b.Until), origin: t.originID(b.Origin)}
		if e.until <= now.UnixNano() {
			t.stats.Lapsed++
			continue
		}
		m.put(keyOf(target), ref{source: keyOf(source), entry: e}, now.UnixNano())
	}
	if m.evicted > before && !t.evicting {
		t.evicting = true
		t.report(Event{Kind: EventEvicting, Entries: len(m.entries),
			Text: fmt.Sprintf("more than %d entries: those with the shortest time left are not enforced", m.max)})
	}
	if len(m.entries) < m.max-m.max/20 {
		t.evicting = false
	}
}

// originID returns the number of an origin, from 1.
func (t *Table) originID(name string) uint16 {
	if name == "" {
		name = "unknown"
	}
	if id, ok := t.originIDs[name]; ok {
		return id
	}
	if len(t.origins) >= maxOrigins-1 {
		name = otherOrigins
		if id, ok := t.originIDs[name]; ok {
			return id
		}
	}
	t.origins = append(t.origins, name)
	id := uint16(len(t.origins))
	t.originIDs[name] = id
	return id
}

// adopt makes next and allow what should be.
func (t *Table) adopt(next *mirror, allow []span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mirror, t.allow = next, allow
}

// plan describes the whole table from the mirror.
func (t *Table) plan() plan {
	widths := map[width]struct{}{{false, 32}: {}, {true, 128}: {}}
	for w := range t.mirror.widths {
		widths[w] = struct{}{}
	}
	p := plan{origins: t.origins, allow: t.allow, sizes: t.mirror.widths, now: t.o.Now}
	for w := range widths {
		p.widths = append(p.widths, w)
	}
	slices.SortFunc(p.widths, compareWidths)
	m := t.mirror
	p.entries = func(yield func(key, entry) bool) {
		for k, e := range m.entries {
			if !yield(k, e) {
				return
			}
		}
	}
	return p
}

// commit writes changes to the kernel. If that fails, the kernel holds part of
// them or somebody broke the table: it is rebuilt, now or as soon as allowed.
func (t *Table) commit(ctx context.Context, changes iter.Seq[change]) error {
	if t.kernel == nil {
		t.reportWould(changes)
		return nil
	}
	written, err := t.kernel.apply(ctx, changes, t.plan())
	if err == nil {
		t.mu.Lock()
		t.stats.Written += int64(written)
		t.mu.Unlock()
		return nil
	}
	t.dirty = true
	t.failed(fmt.Errorf("writing changes, after %d: %w", written, err))
	if ctx.Err() != nil || t.o.Now().Sub(t.lastRepair) < t.repairEvery {
		t.loop.wakeUp()
		return fmt.Errorf("changing the firewall table: %w; it will be rebuilt", err)
	}
	return t.rebuild(ctx)
}

// rebuild replaces the table in the kernel by one made from the mirror.
func (t *Table) rebuild(ctx context.Context) error {
	t.dirty = true
	t.lastRepair = t.o.Now()
	t.mu.Lock()
	t.mirror.expire(t.lastRepair.UnixNano())
	t.mu.Unlock()
	err := t.kernel.replace(ctx, t.plan())
	if err != nil {
		err = fmt.Errorf("rebuilding the firewall table: %w", err)
		t.failed(err)
		t.loop.wakeUp()
		return err
	}
	t.dirty = false
	t.steps.take(t.o.Now())
	t.publish()
	return nil
}

// publish copies to the statistics what only the writer may ask the kernel's
// side for.
func (t *Table) publish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Mode = ModeNftables
	t.stats.Table = t.kernel.name()
	t.stats.Owner = t.kernel.owner()
}

// Close ends the Table and waits for its goroutines. With keep the table stays
// in the kernel and its bans run out by themselves; otherwise it is deleted.
// Only the first call counts; the others wait for it and return its error.
func (t *Table) Close(keep bool) error {
	t.closing.Do(func() { t.closeErr = t.close(keep) })
	return t.closeErr
}

func (t *Table) close(keep bool) error {
	t.write.Lock()
	t.closed = true
	l := t.loop
	t.write.Unlock()
	if l != nil {
		l.stop()
	}
	t.write.Lock()
	defer t.write.Unlock()
	if t.kernel == nil {
		return nil
	}
	t.counters.read()
	t.counters.rollover(nil)
	err := t.kernel.close(keep)
	t.kernel = nil
	t.mu.Lock()
	t.stats.Mode, t.stats.Table, t.stats.Owner = ModeDryRun, "", false
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("closing the firewall table: %w", err)
	}
	return nil
}
