package scenarios

import (
	"container/heap"
)

// saved is an entry as it is read from a snapshot, with what there is beside it.
type saved struct {
	entry   entry
	oldest  int
	values  []uint64
	tripped uint64
	queued  bool
	records []record
	texts   [][]byte
	timer   *timer
	bodies  [][]byte
}

// readEntry reads one entry and keeps it if its scenario is still there.
func (m *Memory) readEntry(r *reader, slots []target, now uint32) (bool, error) {
	var v saved
	v.read(r)
	e := &v.entry
	if r.bad || int(e.slot) >= len(slots) || v.oldest > 0 && v.oldest >= len(v.values) {
		return false, damaged("entry makes no sense")
	}
	t := slots[e.slot]
	if t.scenario == nil {
		return false, nil
	}
	if !e.sound(t.scenario) || !v.sound(t.scenario) {
		return false, damaged("bucket makes no sense")
	}
	e.slot, e.wall = t.slot, now
	return m.place(&v, t.scenario)
}

func (v *saved) read(r *reader) {
	e := &v.entry
	copy(e.key[:], r.take(len(e.key)))
	e.slot, e.flags = r.uint16(), r.uint16()
	e.level, e.last, e.first = r.uint64(), int64(r.uint64()), int64(r.uint64())
	e.touched, e.hole = int64(r.uint64()), int64(r.uint64())
	e.count = r.uint32()
	v.oldest = r.length(maxDistinct)
	for range r.length(maxDistinct) {
		if v.values = append(v.values, r.uint64()); r.bad {
			return
		}
	}
	v.readSide(r)
	for range r.length(samplesMost) {
		if v.bodies = append(v.bodies, r.take(r.length(pageBytes))); r.bad {
			return
		}
	}
}

func (v *saved) readSide(r *reader) {
	parts := r.byte()
	if parts&^(partTripped|partQueue|partTimer) != 0 {
		r.bad = true
		return
	}
	if parts&partTripped != 0 {
		v.tripped = r.uint64()
	}
	if v.queued = parts&partQueue != 0; v.queued {
		for range r.length(mostKept + 1) {
			v.records = append(v.records, record{time: int64(r.uint64()), zone: int16(r.uint16()), holds: r.uint16()})
			if v.texts = append(v.texts, r.take(r.length(mostText+fieldCut))); r.bad {
				return
			}
		}
	}
	if parts&partTimer != 0 {
		v.timer = &timer{key: r.text(), site: r.text(), last: int64(r.uint64()), zone: int32(r.uint32()), depth: r.byte()}
		v.timer.width = r.byte() != 0
		v.timer.body = append([]byte(nil), r.take(r.length(pageBytes))...)
	}
}

// sound checks that what is beside the entry can be what s has there.
func (v *saved) sound(s *Scenario) bool {
	if v.entry.flags&filled == 0 {
		return v.tripped == 0 && !v.queued && v.timer == nil
	}
	if s.Timed() != (v.timer != nil) || v.queued && (s.judge == nil || !s.judge.queued) ||
		v.tripped != 0 && (s.judge == nil || s.judge.bayes == nil) {
		return false
	}
	most := latest.UnixNano()
	if v.timer != nil && (v.timer.last < 0 || v.timer.last > most) {
		return false
	}
	for i := range v.records {
		if !v.records[i].sound() || !soundFields(v.texts[i], len(s.judge.fields)) {
			return false
		}
	}
	return true
}

// place puts the entry where it belongs.
func (m *Memory) place(v *saved, s *Scenario) (bool, error) {
	sh := m.shard(&v.entry.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.find(&v.entry.key) != nil {
		return false, damaged("bucket occurs twice")
	}
	at := sh.add(&v.entry.key, v.entry.slot)
	*at = v.entry
	if at.flags&filled == 0 {
		return true, nil
	}
	sh.filled++
	sh.placeValues(at, v)
	for _, body := range v.bodies {
		if sh.ring.size > 0 {
			at.sample = sh.ring.put(at.sample, body, nil)
		}
	}
	if v.queued || v.tripped != 0 {
		sd := sh.sides.of(at)
		sd.tripped = v.tripped
		if v.queued {
			sd.queue = &queue{}
			for i, r := range v.records {
				sd.queue.add(r, v.texts[i], nil, min(s.keep, mostKept+1))
			}
			sh.sides.bytes += sd.queue.bytes()
		}
	}
	if v.timer != nil {
		sh.placeTimer(at, v.timer, s)
	}
	sh.trim(at)
	return true, nil
}

func (sh *shard) placeValues(at *entry, v *saved) {
	for _, h := range v.values {
		if !sh.sides.known(at.side, h) {
			sh.sides.bytes += sh.sides.of(at).values.add(h)
		}
	}
	if at.side != 0 && len(sh.sides.at(at.side).values.list) > v.oldest {
		sh.sides.at(at.side).values.oldest = v.oldest
	}
}

func (sh *shard) placeTimer(at *entry, t *timer, s *Scenario) {
	t.entry, _ = sh.index.find(&at.key, &sh.slab)
	t.prev, t.due = at.sample, sh.due(at, s.life)
	if sh.ring.size > 0 {
		at.sample = sh.ring.put(at.sample, t.body, nil)
	}
	sh.sides.of(at).timer = t
	heap.Push(&sh.timers, t)
	sh.sides.bytes += t.bytes()
}
