package decisions

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	fleetKey    = "fleet"
	positionKey = "fleet_position"
)

// ErrNoIDs is in the chain when there are no ids left to give out.
var ErrNoIDs = errors.New("no ids left")

// fleet is what a Book knows of the fleet that it is one of.
type fleet struct {
	turn   sync.Mutex // whoever changes the Book for the fleet; taken first
	ops    spool
	moved  moved
	member atomic.Bool // it is one of a fleet, shared in this run or not
	// epoch and cursor are guarded by the spool's mu.
	epoch, cursor string
	highest       struct{ decision, alert int64 } // ids met that a fleet grants; under Book.mu
}

// Share makes the Book one of a fleet: from now on local changes are recorded as
// ops, and new ids are such that no other node gives out. node is a hash of the
// node's id. Call it after OpenBook, before anything changes.
//
// The first time, whatever the Book has becomes ops: the decisions in force, the
// alerts and the operators' allowlist entries. Their ids count from 1 like the
// fleet's, so all are moved into the node's emergency block, n becoming its nth;
// Decided, and List by ID, still find them by their old ids (see moved).
func (b *Book) Share(node uint64, o ShareOptions) error {
	b.fleet.turn.Lock()
	defer b.fleet.turn.Unlock()
	if o.MaxOps <= 0 {
		o.MaxOps = defaultMaxOps
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxOpBytes
	}
	if err := b.share(node, o); err != nil {
		return fmt.Errorf("sharing the journal: %w", err)
	}
	return nil
}

func (b *Book) share(node uint64, o ShareOptions) error {
	if err := b.disk.room(); err != nil {
		return err
	}
	b.write.Lock()
	defer b.write.Unlock()
	s := &b.fleet.ops
	switch {
	case b.closed:
		return ErrClosed
	case s.on:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.limits = o
		return nil
	}
	known := b.fleet.member.Load()
	decision, err := loadBlocks(b.o.DB, blocksKey(b.decision.key), node)
	if err != nil {
		return err
	}
	alert, err := loadBlocks(b.o.DB, blocksKey(b.alert.key), node)
	if err != nil {
		return err
	}
	decision.inUse = func(id int64) bool { return b.index.byID[id] != 0 }
	alert.inUse = func(id int64) bool { return b.alerts.byID[id] != 0 }
	var writes []op
	s.mu.Lock()
	s.limits = o
	if known {
		writes, err = s.load(b.o.DB, b.damagedRecord)
	} else {
		err = s.clear(b.o.DB)
	}
	s.seq = firstSeq(b.o.Now(), s.seq)
	s.on = err == nil
	s.mu.Unlock()
	if err != nil {
		return err
	}
	b.disk.add(writes...)
	if !known {
		if err := b.join(node, decision, alert); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.alerts.indexNames()
	b.mu.Unlock()
	b.decision.blocks.Store(decision)
	b.alert.blocks.Store(alert)
	b.decision.ask(0, b.disk)
	b.alert.ask(0, b.disk)
	return nil
}

// Ops returns up to limit ops (0: all) after the one with Seq after, oldest first,
// that were not sent. Watch wakes for new ones.
func (b *Book) Ops(after int64, limit int) ([]Op, error) {
	s := &b.fleet.ops
	s.mu.Lock()
	seqs := s.after(after, limit)
	s.mu.Unlock()
	out := make([]Op, 0, len(seqs))
	for _, seq := range seqs {
		o, ok, err := s.loadOp(b.o.DB, seq)
		switch {
		case errors.Is(err, ErrBadOp): // one bad op does not hold up the others
			b.damagedRecord("op", idKey(seq), err)
			s.mu.Lock()
			b.disk.add(s.drop(seq)...)
			s.mu.Unlock()
		case err != nil:
			return out, err
		case ok:
			out = append(out, o)
		}
	}
	return out, nil
}

// Sent says that the ops up to and with this Seq reached the fleet, or are given up;
// Ops leaves them out from now on. They stay under way until Adopt meets them, or a
// later one, in the log: till then they win over what others said before them. What
// is to be taken back has to be before Sent (Retract).
func (b *Book) Sent(upTo int64) {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	if upTo = min(upTo, s.seq); upTo > s.sent {
		s.sent = upTo
		b.disk.add(op{bucket: metaBucket, key: sentKey, value: be64(upTo)})
	}
}

// Grant gives the Book ids to use, each block from first to last, both included;
// 0 and 0 are none. Ids of decisions and alerts are below 2^38.
func (b *Book) Grant(decisionFrom, decisionTo, alertFrom, alertTo int64) {
	b.write.Lock()
	defer b.write.Unlock()
	if b.closed {
		return
	}
	if k := b.decision.blocks.Load(); k != nil {
		k.grant(span{decisionFrom, decisionTo}, b.disk)
	}
	if k := b.alert.blocks.Load(); k != nil {
		k.grant(span{alertFrom, alertTo}, b.disk)
	}
}

// Wants tells of which ids fewer than 500 granted ones are left.
func (b *Book) Wants() (decision, alert bool) {
	b.write.Lock()
	defer b.write.Unlock()
	if k := b.decision.blocks.Load(); k != nil {
		decision = k.wants()
	}
	if k := b.alert.blocks.Load(); k != nil {
		alert = k.wants()
	}
	return decision, alert
}

// Incomplete reports whether ops were dropped, for want of place, since the last
// Reconcile: then the fleet lacks changes of this node, and Reconcile is needed. It
// makes ops again of the decisions made since then that the fleet does not have.
func (b *Book) Incomplete() bool {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost != 0
}

// Position tells where in the fleet's log the Book is; both are empty before the
// first Adopt or Reconcile.
func (b *Book) Position() (epoch, cursor string) {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.fleet.epoch, b.fleet.cursor
}

// HasAlert reports whether an alert with this uuid is kept: one look where the Book
// is shared, else one at every alert.
func (b *Book) HasAlert(uuid string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return uuid != "" && b.alerts.known(uuid)
}

// Highest returns the highest ids of decisions and alerts below 2^38 that the Book
// has met: a fleet that lost count goes on after them.
func (b *Book) Highest() (decision, alert int64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.fleet.highest.decision, b.fleet.highest.alert
}

// place moves the Book within the fleet's log. The writes go to disk behind those
// that brought it there.
func (b *Book) place(epoch, cursor string) op {
	s := &b.fleet.ops
	s.mu.Lock()
	b.fleet.epoch, b.fleet.cursor = epoch, cursor
	s.mu.Unlock()
	return op{bucket: metaBucket, key: positionKey, value: []byte(epoch + "\n" + cursor)}
}

// met notes ids, for Highest. The caller holds mu.
func (b *Book) met(decision, alert int64) {
	h := &b.fleet.highest
	if decision < listsFrom {
		h.decision = max(h.decision, decision)
	}
	if alert < listsFrom {
		h.alert = max(h.alert, alert)
	}
}

// leave is told of every change by somebody here. If the Book was one of a fleet and
// is not shared in this run, it is no longer: what it does now the fleet will not
// have heard of, so next time it joins anew.
func (b *Book) leave() {
	if !b.fleet.member.Load() {
		return
	}
	s := &b.fleet.ops
	s.mu.Lock()
	left := !s.on && b.fleet.member.CompareAndSwap(true, false)
	s.mu.Unlock()
	if left {
		b.disk.add(op{bucket: metaBucket, key: fleetKey}, op{bucket: metaBucket, key: positionKey})
		b.o.Logger.Info("the journal is no longer one of a fleet")
	}
}
