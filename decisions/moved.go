package decisions

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/store"
)

const (
	movedKey = "fleet_moved"
	// maxMoved is how many of the last ids of a node keep their order when it joins
	// a fleet. The other half of the emergency block is for what comes.
	maxMoved = emergencyIDs / 2
)

// moved tells where the ids of a node are since it joined a fleet.
type moved struct {
	At       time.Time `json:"at"` // when it joined; zero: never
	Base     int64     `json:"base"`
	Decision movedIDs  `json:"decision"`
	Alert    movedIDs  `json:"alert"`
}

// movedIDs: an id n above Before, up to and with Last, became Base + n − Before.
type movedIDs struct {
	Before int64 `json:"before"`
	Last   int64 `json:"last"`
}

func newMovedIDs(last int64) movedIDs { return movedIDs{Before: max(0, last-maxMoved), Last: last} }

// load reads what join left.
func (m *moved) load(db *store.DB) error {
	v, err := db.Get(metaBucket, movedKey)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal(v, m); err != nil {
		return fmt.Errorf("reading %s: %w", movedKey, err)
	}
	return nil
}

// of returns what became of the decision id of an incident, which was given out at
// an instant.
func (m *moved) of(id int64, at time.Time) int64 {
	if m.At.IsZero() || at.After(m.At) || id <= m.Decision.Before || id > m.Decision.Last {
		return id
	}
	return m.Base + id - m.Decision.Before
}

// renumber gives the ids of one kind their place in the emergency block.
type renumber struct {
	blocks *blocks
	ids    movedIDs
}

// of returns where id goes, whether or not something has it; 0 if it has no place
// in order.
func (r *renumber) of(id int64) int64 {
	switch {
	case id >= emergencyFrom:
		return id
	case id <= r.ids.Before || id > r.ids.Last:
		return 0
	}
	return r.blocks.state.Base + id - r.ids.Before
}

// place is of, for something that has to have an id that nothing else has: 0 if the
// block is used up.
func (r *renumber) place(id int64) int64 {
	to := r.of(id)
	if to == id || to != 0 && !r.blocks.inUse(to) {
		return to
	}
	for ; r.blocks.state.Spare < emergencyIDs; r.blocks.state.Spare++ {
		if to = r.blocks.state.Base + r.blocks.state.Spare; !r.blocks.inUse(to) {
			r.blocks.state.Spare++
			return to
		}
	}
	return 0
}

// join moves the ids of all that the Book has and makes ops of it. The caller holds
// write. It is done once in a node's life, before anything waits for the Book, so
// it may wait for the disk.
func (b *Book) join(node uint64, decision, alert *blocks) error {
	now := b.o.Now()
	ds := renumber{decision, newMovedIDs(b.decision.next.Load() - 1)}
	as := renumber{alert, newMovedIDs(b.alert.next.Load() - 1)}
	ds.blocks.reserve(ds.ids, b.index.byID)
	as.blocks.reserve(as.ids, b.alerts.byID)
	m := moved{At: now.UTC(), Base: decision.state.Base, Decision: ds.ids, Alert: as.ids}
	text, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	caused, err := b.moveAlerts(&as, &ds)
	if err == nil {
		err = b.moveDecisions(&as, &ds, caused)
	}
	if err == nil {
		err = b.offerAll(now)
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.fleet.moved = m
	b.log.begin(b.log.epoch + 1)
	b.mu.Unlock()
	b.disk.add(
		op{bucket: metaBucket, key: epochKey, value: be64(b.log.epoch)},
		op{bucket: metaBucket, key: movedKey, value: text},
		op{bucket: metaBucket, key: blocksKey(b.decision.key), value: decision.encode()},
		op{bucket: metaBucket, key: blocksKey(b.alert.key), value: alert.encode()},
		op{bucket: metaBucket, key: fleetKey, value: be64(int64(node & nodeMask))},
	)
	b.fleet.member.Store(true)
	b.o.Logger.Info("the journal is one of a fleet now",
		zap.Int("decisions", len(b.index.byID)), zap.Int("alerts", len(b.alerts.byID)))
	return nil
}

// reserve keeps the places of moved ids, and those that an attempt to join gave
// before it was cut short.
func (k *blocks) reserve(ids movedIDs, have map[int64]int32) {
	k.state.Spare = max(k.state.Spare, ids.Last-ids.Before+1)
	for id := range have {
		if n := id - k.state.Base; n > 0 && n < emergencyIDs {
			k.state.Spare = max(k.state.Spare, n+1)
		}
	}
}

// moveAlerts gives the alerts new ids, in them those of the decisions too. It
// returns the new ids by the old ones.
func (b *Book) moveAlerts(as, ds *renumber) (map[int64]int64, error) {
	to := make(map[int64]int64, len(b.alerts.byID))
	for _, o := range slices.Clone(b.alerts.order) {
		r := b.alerts.byNumber(o.id)
		if r == nil || as.of(o.id) == o.id {
			continue
		}
		if err := b.disk.room(); err != nil {
			return nil, err
		}
		j, at := newJob(0), time.UnixMilli(r.at)
		a, ok := b.readAlert(o.id)
		b.mu.Lock()
		b.alerts.remove(r)
		b.mu.Unlock()
		j.remove(alertBucket, idKey(o.id))
		if id := as.place(o.id); ok && id != 0 {
			to[o.id], a.ID = id, id
			for i := range a.Decisions {
				a.Decisions[i].ID = ds.of(a.Decisions[i].ID)
			}
			kept := boundedWhole(&a)
			if _, err := b.fileAlert(&kept, nil, j, at); err != nil {
				return nil, err
			}
		}
		b.disk.add(j.ops...)
	}
	return to, nil
}

// moveDecisions gives the decisions new ids.
func (b *Book) moveDecisions(as, ds *renumber, alerts map[int64]int64) error {
	var old []int64
	for id := range b.index.byID {
		if ds.of(id) != id {
			old = append(old, id)
		}
	}
	slices.Sort(old)
	for part := range slices.Chunk(old, reconcileChunk) {
		if err := b.disk.room(); err != nil {
			return err
		}
		j := newJob(2 * len(part))
		b.mu.Lock()
		for _, id := range part {
			r := b.index.byNumber(id)
			d, p := b.index.decision(r), r.prefix()
			// Nobody is to hear that the old id went: in the fleet it is another's.
			r.cursor = 0
			b.end(r, j)
			if d.ID = ds.place(id); d.ID == 0 {
				b.evictedDecisions.Add(1)
				continue
			}
			if to := alerts[d.AlertID]; to != 0 {
				d.AlertID = to
			} else {
				d.AlertID = as.of(d.AlertID)
			}
			b.add(&d, p, j)
		}
		b.tidy(b.o.Now(), j)
		b.mu.Unlock()
		b.finish(j)
	}
	return nil
}

// offerAll makes ops of all that the Book has.
func (b *Book) offerAll(now time.Time) error {
	alerts := make([]int64, 0, len(b.alerts.byID))
	for _, o := range b.alerts.order {
		if b.alerts.byNumber(o.id) != nil {
			alerts = append(alerts, o.id)
		}
	}
	ids := make([]int64, 0, len(b.index.byID))
	for id := range b.index.byID {
		ids = append(ids, id)
	}
	return b.offer(alerts, ids, b.o.Allow.manual(), now)
}

// offer makes ops of alerts, with those of the decisions that they led to, of the
// other decisions, and of allowlist entries. The caller holds write.
func (b *Book) offer(alerts, decisions []int64, allow []AllowEntry, now time.Time) error {
	caused := map[int64][]int64{}
	for _, id := range alerts {
		caused[id] = nil
	}
	var rest []int64
	for _, id := range decisions {
		r := b.index.byNumber(id)
		if r == nil {
			continue
		}
		if ids, ok := caused[r.alertID]; ok {
			caused[r.alertID] = append(ids, id)
		} else {
			rest = append(rest, id)
		}
	}
	for _, id := range alerts {
		a, ok := b.Alert(id)
		if !ok { // evicted meanwhile, or damaged
			rest = append(rest, caused[id]...)
			continue
		}
		if err := b.offerDecisions(&a, caused[id], now); err != nil {
			return err
		}
	}
	for _, e := range allow {
		b.recordOp(Op{Kind: OpAllow, Allow: &e, At: earlier(now, e.Created).UTC()}, nil, nil)
	}
	slices.Sort(rest)
	return b.offerDecisions(nil, rest, now)
}

// offerDecisions makes ops of an alert (nil: none) and decisions.
func (b *Book) offerDecisions(a *event.Alert, ids []int64, now time.Time) error {
	ds := make([]Decision, 0, min(len(ids), maxOpDecisions))
	for len(ids) > 0 || a != nil {
		if err := b.disk.room(); err != nil {
			return err
		}
		n := min(len(ids), maxOpDecisions)
		// If the op has to be dropped, Reconcile looks for what was made since At.
		ds, at := ds[:0], now
		for _, id := range ids[:n] {
			d := b.index.decision(b.index.byNumber(id))
			ds, at = append(ds, d), earlier(at, d.Created)
		}
		if a != nil {
			at = earlier(at, timeOf(b.alerts.byNumber(a.ID).at))
		}
		b.recordOp(Op{Kind: OpAppend, Alert: a, Decisions: ds, At: at.UTC()}, nil, nil)
		ids, a = ids[n:], nil
	}
	return nil
}

// earlier is the first of two instants; a zero b is none.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}
