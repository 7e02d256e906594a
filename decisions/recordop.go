package decisions

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// wireOp is an Op whose alert is JSON already.
type wireOp struct {
	opFields
	Alert json.RawMessage `json:"alert,omitempty"`
}

// encodeOp makes the text of an op. body, if there is one, is the JSON of its alert.
// What it says of suppression is left out.
func encodeOp(o *Op, body []byte) ([]byte, error) {
	w := wireOp{opFields: opFields(*o), Alert: body}
	if body == nil && o.Alert != nil {
		var err error
		if w.Alert, err = json.Marshal(o.Alert); err != nil {
			return nil, err
		}
	}
	w.Decisions = append([]Decision(nil), o.Decisions...)
	for i := range w.Decisions {
		w.Decisions[i].Suppressed = false
		boundTexts(&w.Decisions[i])
	}
	return json.Marshal(&w)
}

// recordAppend makes ops of what Append did. body is the JSON of the alert as it is
// kept, nil for none. The caller holds write.
func (b *Book) recordAppend(a *event.Alert, body []byte, j *job, at time.Time) {
	var ds []Decision
	for _, r := range j.order {
		if !r.gone {
			ds = append(ds, b.index.decision(r))
		}
	}
	if body == nil {
		a = nil
	}
	for len(ds) > 0 || a != nil {
		n := min(len(ds), maxOpDecisions)
		b.recordOp(Op{Kind: OpAppend, Alert: a, Decisions: ds[:n], At: at}, body, j.bases)
		ds, a, body = ds[n:], nil, nil
	}
}

// recordDelete makes ops of the end of decisions. The caller holds write.
func (b *Book) recordDelete(gone []Decision, by string) {
	bases := make(map[int64]*Decision, len(gone))
	ids := make([]int64, len(gone))
	for i := range gone {
		ids[i], bases[gone[i].ID] = gone[i].ID, &gone[i]
	}
	by = tidyText(by, maxText)
	for len(ids) > 0 {
		n := min(len(ids), maxOpIDs)
		b.recordOp(Op{Kind: OpDelete, IDs: ids[:n], By: by, At: b.o.Now().UTC()}, nil, bases)
		ids = ids[n:]
	}
}

// ShareList records that a list was put in force or dropped here, as an OpList. On
// a Book that is not shared it does nothing.
func (b *Book) ShareList(name, by string) error {
	if err := b.enter(0, false); err != nil {
		return err
	}
	defer b.write.Unlock()
	if b.fleet.ops.on {
		b.recordOp(Op{Kind: OpList, List: name, By: by, At: b.o.Now().UTC()}, nil, nil)
	}
	return nil
}

// recordOp files an op, of odd texts in several parts. body is the JSON of its alert,
// nil if that is still to be made. bases are the decisions it is about as they were
// before; those that are not there were not. The caller holds write.
func (b *Book) recordOp(o Op, body []byte, bases map[int64]*Decision) {
	if b.fileOp(o, body, bases) {
		return
	}
	n := len(o.Decisions)
	first, rest := o, o
	first.Decisions, rest.Decisions, rest.Alert = o.Decisions[:n/2], o.Decisions[n/2:], nil
	b.recordOp(first, body, bases)
	b.recordOp(rest, nil, bases)
}

// fileOp files one op, and queues it for the disk: before the change that it tells
// of, so that the one is never there without the other. It reports whether the op
// fits; one with a single decision does.
func (b *Book) fileOp(o Op, body []byte, bases map[int64]*Decision) (fits bool) {
	s := &b.fleet.ops
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Seq = s.next()
	value, err := encodeOp(&o, body)
	if err != nil { // cannot be: texts, numbers and instants that were checked
		s.dropped++
		b.o.Logger.Error("change not told to the fleet", zap.Error(err))
		return true
	}
	if len(value) > maxOpBytes && len(o.Decisions) > 1 {
		return false
	}
	s.values.put(o.Seq, value)
	writes := s.put(o.spooled(int64(len(value))), bases)
	b.disk.add(op{opBucket, idKey(o.Seq), value, func() { s.values.done(o.Seq) }})
	b.disk.add(writes...)
	b.watch.wake()
	return true
}

// keepAllow writes a change of the allowlists at once, since it is rare and must be
// kept, and with it the ops that tell of it. The caller holds the Allow's lock, so that
// there is one at a time.
func (b *Book) keepAllow(disk []op, tell []Op) error {
	if len(tell) > 0 {
		b.leave()
	}
	s := &b.fleet.ops
	s.mu.Lock()
	if !s.on || len(tell) == 0 {
		s.mu.Unlock()
		return write(b.o.DB, disk...)
	}
	for i := range tell {
		tell[i].Seq = s.next()
	}
	s.flying = tell[0].Seq
	s.mu.Unlock()
	sizes := make([]int64, len(tell))
	writes := make([]op, 0, len(tell)+len(disk))
	var err error
	for i := range tell {
		var value []byte
		if value, err = encodeOp(&tell[i], nil); err != nil {
			break
		}
		sizes[i] = int64(len(value))
		writes = append(writes, op{bucket: opBucket, key: idKey(tell[i].Seq), value: value})
	}
	if err == nil {
		err = write(b.o.DB, append(writes, disk...)...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying = 0
	if err != nil {
		return err
	}
	for i := range tell {
		b.disk.add(s.put(tell[i].spooled(sizes[i]), nil)...)
	}
	b.watch.wake()
	return nil
}
