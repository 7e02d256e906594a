package decisions

import "slices"

// Retract takes back what an own OpAppend made here, since the fleet has its alert
// from another node already: the alert, the decisions it made, and what it added to
// those there were, which become what the fleet has. What later ops of this node
// changed since stays as they left it. Ops that are not under way any more are left
// alone, whatever they say.
func (b *Book) Retract(o Op) {
	b.fleet.turn.Lock()
	defer b.fleet.turn.Unlock()
	if b.enter(0, false) != nil {
		return
	}
	defer b.write.Unlock()
	s := &b.fleet.ops
	ids, under := s.topmost(o.Seq)
	made, ok, err := s.loadOp(b.o.DB, o.Seq) // what was recorded counts, not what the caller has of it
	if !under || !ok || err != nil || made.Kind != OpAppend {
		return
	}
	j := newJob(len(ids))
	b.mu.Lock()
	for _, id := range ids {
		state, known := b.beneath(id, o.Seq, j)
		if known {
			b.restore(id, state, j)
		}
	}
	if made.Alert != nil {
		b.forgetAlert(&made, j)
	}
	b.settleOp(o.Seq, j)
	b.tidy(b.o.Now(), j)
	b.mu.Unlock()
	b.finish(j)
}

// topmost returns the decisions that the op with a Seq is the last one about, and
// whether it is under way.
func (s *spool) topmost(seq int64) (ids []int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(seq)
	if !ok {
		return nil, false
	}
	for _, id := range s.queue[i].ids {
		if s.decided[id].seq == seq {
			ids = append(ids, id)
		}
	}
	return ids, true
}

// beneath returns how a decision would stand without the op with a Seq, the last one
// about it: as the own op before that left it, or as the fleet has it; nil: it would
// not be there.
func (b *Book) beneath(id, seq int64, j *job) (state *Decision, known bool) {
	s := &b.fleet.ops
	s.mu.Lock()
	before := int64(0)
	for i, _ := s.find(seq); i > 0 && before == 0; i-- {
		if sp := &s.queue[i-1]; !sp.gone && slices.Contains(sp.ids, id) {
			before = sp.seq
		}
	}
	u := s.decided[id]
	if before == 0 {
		j.ops = append(j.ops, s.release(id)...)
		s.mu.Unlock()
		return u.base, true
	}
	u.seq = before
	s.decided[id] = u
	s.mu.Unlock()
	o, ok, err := s.loadOp(b.o.DB, before)
	if !ok || err != nil {
		return nil, false
	}
	if i := slices.IndexFunc(o.Decisions, func(d Decision) bool { return d.ID == id }); i >= 0 {
		return &o.Decisions[i], true
	}
	return nil, true
}

// restore makes a decision what it was. The caller holds mu.
func (b *Book) restore(id int64, state *Decision, j *job) {
	if state == nil {
		if r := b.index.byNumber(id); r != nil {
			b.end(r, j)
		}
		return
	}
	d := *state
	if p, err := foreign(&d, d.Created); err == nil {
		b.adoptDecision(&d, p, b.o.Now(), false, j)
	}
}

// forgetAlert takes back an alert, and that its decisions count as made. The caller
// holds mu.
func (b *Book) forgetAlert(o *Op, j *job) {
	if r := b.alerts.byNumber(o.Alert.ID); r != nil && r.uuid == b.alerts.name(o.Alert.UUID) {
		b.alerts.remove(r)
		j.remove(alertBucket, idKey(o.Alert.ID))
	}
	for _, d := range o.Alert.Decisions {
		if d.Simulated || d.Suppressed {
			continue
		}
		if s, ok := b.history.take(b.index.keys.of(d.Value), o.At.UnixMilli()); ok {
			j.remove(historyBucket, s.dbKey())
		}
	}
}
