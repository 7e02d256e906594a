package decisions

import (
	"fmt"
	"slices"
	"time"
)

// Delete is the Journal's. To end everything that is in force, say so with
// Active; a filter that says nothing at all is refused.
func (b *Book) Delete(f Filter, by string) ([]Decision, error) {
	if f.empty() {
		return nil, fmt.Errorf("deleting decisions: %w; name an id, a value, an origin… or Active for all", ErrNoFilter)
	}
	gone, err := b.deleteFound(f.compile(b.index.keys, b.o.Now()), 0, -1, by)
	if err != nil {
		return gone, fmt.Errorf("deleting decisions: %w", err)
	}
	return gone, nil
}

// Expire ends what is over at now and returns it, and lets old alerts, history,
// allowlist entries and lists go. The owner calls it every second; lookups do not depend on
// it.
func (b *Book) Expire(now time.Time) (gone []Decision) {
	if b.o.Allow.expire(now) {
		b.sweepAllowed()
	}
	b.endLists(now)
	b.write.Lock()
	defer b.write.Unlock()
	if b.closed {
		return nil
	}
	j := newJob(0)
	b.mu.Lock()
	for b.index.due.Len() > 0 && b.index.first().ended(now) {
		r := b.index.first()
		gone = append(gone, b.index.decision(r))
		b.end(r, j)
	}
	b.sound(now, j)
	b.tidy(now, j)
	b.mu.Unlock()
	b.finish(j)
	return gone
}

// end takes r out of what is in force; its Until is when that was. The caller holds mu.
func (b *Book) end(r *record, j *job) {
	b.outlived(r, b.o.Now())
	b.index.remove(r)
	b.alerts.release(r.alertID)
	r.gone, r.told = true, r.until
	r.until = min(r.until, b.o.Now().UnixMilli())
	if r.cursor != 0 && !r.suppressed {
		b.log.note(r)
		j.ended = append(j.ended, r)
	}
	if r.cursor == 0 {
		b.index.bury(r)
	}
	j.changed(r)
}

// tidy tells again what is left of values of which a decision ended, and keeps alerts,
// history and change log within their bounds. The caller holds mu.
func (b *Book) tidy(now time.Time, j *job) {
	b.tellSurvivors(now, j)
	b.tellListed(now, j)
	for _, id := range b.alerts.evict(now) {
		j.remove(alertBucket, idKey(id))
	}
	for _, s := range b.history.trim(now.AddDate(0, 0, -historyDays).UnixMilli()) {
		j.remove(historyBucket, s.dbKey())
	}
	b.forgetEnds(now, j)
	b.log.compact()
}

// sweepAllowed makes every decision's Suppressed what the allowlist says now.
func (b *Book) sweepAllowed() {
	b.sweepListed()
	b.write.Lock()
	defer b.write.Unlock()
	if b.closed {
		return
	}
	var flip []*record
	for r := range b.index.all() {
		if r.target && r.suppressed != b.o.Allow.Covers(r.prefix()) {
			flip = append(flip, r)
		}
	}
	if len(flip) == 0 {
		return
	}
	slices.SortFunc(flip, func(x, y *record) int { return int(x.id - y.id) })
	j := newJob(len(flip))
	b.mu.Lock()
	for _, r := range flip {
		b.index.suppress(r, !r.suppressed)
		b.log.note(r)
		j.changed(r)
	}
	b.tidy(b.o.Now(), j)
	b.mu.Unlock()
	b.finish(j)
}
