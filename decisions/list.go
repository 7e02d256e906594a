package decisions

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// maxListed bounds the entries of a list that List returns for an origin.
const maxListed = 1000

// List returns the decisions that match f, the newest (highest ID) first. Entries of
// lists are among them only if f has an ID, an address or a value, or the origin of
// lists, of each of which the first thousand are returned: Query has the others.
func (b *Book) List(f Filter) []Decision {
	s := f.compile(b.index.keys, b.o.Now())
	var out, room []Decision
	for ids := range b.found(s, 0, -1) {
		room = b.readFound(s, ids, room)
		out = append(out, room...)
	}
	if f.ID != 0 || f.Contains.IsValid() || f.Value != "" || f.Origin != "" {
		out = append(out, b.findListed(s)...)
	}
	slices.SortFunc(out, func(x, y Decision) int { return cmp.Compare(y.ID, x.ID) })
	return out
}

// findListed returns the entries of lists that match s, the first thousand of each.
func (b *Book) findListed(s *search) (out []Decision) {
	for _, l := range b.Lists() {
		if !s.takesList(l) {
			continue
		}
		n := 0
		for d := range b.entries(s, l) {
			out = append(out, d)
			if n++; n == maxListed {
				break
			}
		}
	}
	return out
}

// Count tells how many decisions were made for value since an instant (zero: as
// far back as is remembered), those included that are over: seven days, and of
// older ones those still kept. An IPv6 address counts those of its /64 too.
// Simulated and suppressed decisions do not count.
func (b *Book) Count(value string, since time.Time) int {
	key, wide := normalValue(value)
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := b.count(b.index.keys.of(key), since)
	if wide != "" {
		n += b.count(b.index.keys.of(wide), since)
	}
	return n
}

func (b *Book) count(k key, since time.Time) int {
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMilli()
	}
	n := b.history.count(k, from)
	oldest := b.o.Now().AddDate(0, 0, -historyDays).UnixMilli()
	for r := range b.index.against(k) {
		if r.enforceable() && r.created >= from && r.created < oldest {
			n++
		}
	}
	return n
}

// Bans tells how many bans were made for exactly this value in [since, until), of
// the last seven days, those included that are over; like Count about what counts.
func (b *Book) Bans(value string, since, until time.Time) int {
	key, _ := normalValue(value)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.history.bans(b.index.keys.of(key), since.UnixMilli(), until.UnixMilli())
}

// Active tells how many decisions are in force for value and how long the longest
// of them has to go; like Count about what counts.
func (b *Book) Active(value string) (n int, left time.Duration) {
	key, wide := normalValue(value)
	now := b.o.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, k := range []string{key, wide} {
		if k == "" {
			continue
		}
		for r := range b.index.against(b.index.keys.of(k)) {
			if d := timeOf(r.until).Sub(now); d > 0 && r.enforceable() {
				n++
				left = max(left, d)
			}
		}
	}
	for _, d := range b.findListed((&Filter{Value: value, Active: true}).compile(b.index.keys, now)) {
		if d.Simulated {
			continue
		}
		n++
		left = max(left, d.Until.Sub(now))
	}
	return n, left
}

// Alert returns the alert with an id.
func (b *Book) Alert(id int64) (event.Alert, bool) {
	b.mu.RLock()
	known := b.alerts.byNumber(id) != nil
	b.mu.RUnlock()
	if !known {
		return event.Alert{}, false
	}
	return b.readAlert(id)
}

// Decided returns the newest alert from before an instant that led to the decision
// with an id or prolonged it, also when the decision is over.
func (b *Book) Decided(id int64, until time.Time) (event.Alert, bool) {
	b.mu.RLock()
	id = b.fleet.moved.of(id, until)
	found := int64(0)
	for r := range b.alerts.newestFirst() {
		if time.UnixMilli(r.at).Before(until) && b.alerts.ledTo(r, id) {
			found = r.id
			break
		}
	}
	b.mu.RUnlock()
	return b.Alert(found)
}

// Incident returns the alert whose overflow refused the request that was shown
// this incident id.
func (b *Book) Incident(id string) (event.Alert, bool) {
	b.mu.RLock()
	found := b.alerts.byIncident[b.index.keys.hash(id)]
	b.mu.RUnlock()
	return b.Alert(found)
}

// readAlert reads an alert from where it is: on its way to the disk, or there.
func (b *Book) readAlert(id int64) (event.Alert, bool) {
	value := b.pending.get(id)
	var err error
	if value == nil {
		if value, err = b.o.DB.Get(alertBucket, idKey(id)); err == nil && value == nil {
			return event.Alert{}, false // evicted meanwhile
		}
	}
	var a event.Alert
	if err == nil {
		a, err = decodeAlert(value)
	}
	if err != nil {
		b.o.Logger.Warn("alert not readable", zap.Int64("alert", id), zap.Error(err))
		return event.Alert{}, false
	}
	return a, true
}
