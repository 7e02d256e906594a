package decisions

import (
	"cmp"
	"container/heap"
	"iter"
	"math"
	"slices"
	"time"
)

// alertRecord is an alert in memory; like record it has no pointers.
type alertRecord struct {
	id        int64
	at        int64 // when it was recorded, Unix milliseconds
	start     int64 // when it began, Unix milliseconds
	key       key   // of its source's value
	incident  key   // of its incident id, if it has one
	uuid      named
	first     led // that it led to, if there is one; the others are in alertIndex.more
	machine   name
	scope     name
	scenario  name
	kind      name
	live      int32 // decisions that point at it
	leads     int32 // how many it led to
	size      int32 // of its value in the database, bytes
	incidents bool  // it has an incident id
	simulated bool
}

// led is a decision that an alert led to, as it was then.
type led struct {
	id                     int64
	key                    key // of its prefix, if target
	kind, origin, scenario name
	target                 bool // against addresses
}

// alertLimits are those of a Book.
type alertLimits struct {
	count int
	bytes int64
	age   time.Duration
}

// alertIndex finds alerts and knows which may go.
type alertIndex struct {
	records slab[alertRecord]
	more    map[int64][]led // of alerts that led to several decisions, those after the first
	names   *names
	keys    keyer
	limits  alertLimits
	bytes   int64        // of all values in the database
	tally   map[name]int // by scenario

	byID       map[int64]int32 // slots
	byIncident map[key]int64
	byUUID     map[named]int64   // nil until somebody asks for them often
	twins      map[named][]int64 // others of the same uuid: two nodes concluded one overflow
	order      []dated           // the oldest first, with some that went
	mixed      bool              // order has to be sorted
	free       datedHeap         // of alerts without a decision, with some that went or got one again
}

// named stands for the uuid of an alert.
type named struct{ hi, lo uint64 }

// name is what stands for a uuid.
func (x *alertIndex) name(uuid string) named {
	k := x.keys.hash(uuid)
	return named{k.hi, k.lo}
}

// dated is the id of an alert and when it was recorded, Unix milliseconds.
type dated struct{ at, id int64 }

func compareDated(a, b dated) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

func newAlertIndex(names *names, keys keyer, limits alertLimits) *alertIndex {
	return &alertIndex{
		names: names, keys: keys, limits: limits, more: map[int64][]led{}, tally: map[name]int{},
		byID: map[int64]int32{}, byIncident: map[key]int64{},
	}
}

// add files an alert that live decisions point at. Those of other nodes may come
// late: settle puts them in their place.
func (x *alertIndex) add(h *alertHead, live int) {
	slot, r := x.records.take()
	*r = alertRecord{
		id: h.ID, at: h.At.UnixMilli(), start: h.Start.UnixMilli(), uuid: x.name(h.UUID), key: x.keys.of(h.Value),
		machine: x.names.hold(h.Machine), scope: x.names.hold(h.Scope), scenario: x.names.hold(h.Scenario), kind: x.names.hold(h.Kind),
		live: int32(live), size: int32(min(h.size, math.MaxInt32)), simulated: h.Simulated,
	}
	x.lead(r, h)
	x.byID[h.ID] = slot
	x.bytes += int64(r.size)
	x.tally[r.scenario]++
	d := dated{r.at, r.id}
	last := dated{}
	if n := len(x.order); n > 0 {
		last = x.order[n-1]
	}
	if last != d { // it may have been there before
		x.mixed = x.mixed || compareDated(d, last) < 0
		x.order = append(x.order, d)
	}
	if x.byUUID != nil {
		x.nameRecord(r)
	}
	if r.incidents = h.Incident != ""; r.incidents {
		r.incident = x.keys.hash(h.Incident)
		x.byIncident[r.incident] = h.ID
	}
	if live == 0 {
		heap.Push(&x.free, d)
	}
}

// lead takes over the decisions that an alert led to.
func (x *alertIndex) lead(r *alertRecord, h *alertHead) {
	all := make([]led, len(h.Led))
	for i := range h.Led {
		l := &h.Led[i]
		all[i] = led{id: l.ID, kind: x.names.hold(l.Type), origin: x.names.hold(l.Origin), scenario: x.names.hold(cmp.Or(l.Scenario, h.Scenario))}
		if all[i].target = l.Prefix.IsValid(); all[i].target {
			all[i].key = keyOf(plainPrefix(l.Prefix))
		}
	}
	if r.leads = int32(len(all)); r.leads > 0 {
		r.first = all[0]
	}
	if len(all) > 1 {
		x.more[r.id] = all[1:]
	}
}

// led are the decisions that r led to.
func (x *alertIndex) led(r *alertRecord) iter.Seq[*led] {
	return func(yield func(*led) bool) {
		if r.leads == 0 || !yield(&r.first) {
			return
		}
		more := x.more[r.id]
		for i := range more {
			if !yield(&more[i]) {
				return
			}
		}
	}
}

// settle brings the alerts into the order of their times.
func (x *alertIndex) settle() {
	if x.mixed {
		slices.SortFunc(x.order, compareDated)
		x.order, x.mixed = slices.Compact(x.order), false
	}
}

// byNumber returns the alert with an id, or nil.
func (x *alertIndex) byNumber(id int64) *alertRecord {
	if slot := x.byID[id]; slot != 0 {
		return x.records.at(slot)
	}
	return nil
}

// newestFirst are all alerts.
func (x *alertIndex) newestFirst() iter.Seq[*alertRecord] { return x.beyond(dated{}, false) }

// beyond are the alerts that come after one (zero: all), by ascending times or, the
// newest first, by descending ones.
func (x *alertIndex) beyond(last dated, ascending bool) iter.Seq[*alertRecord] {
	return func(yield func(*alertRecord) bool) {
		i, found := slices.BinarySearchFunc(x.order, last, compareDated)
		step := -1
		switch {
		case ascending:
			step = 1
			if !found {
				i--
			}
		case last == dated{}:
			i = len(x.order)
		}
		for i += step; i >= 0 && i < len(x.order); i += step {
			o := x.order[i]
			if r := x.byNumber(o.id); r != nil && r.at == o.at && !yield(r) {
				return
			}
		}
	}
}

// ledTo reports whether an alert led to a decision.
func (x *alertIndex) ledTo(r *alertRecord, decision int64) bool {
	for l := range x.led(r) {
		if decision != 0 && l.id == decision {
			return true
		}
	}
	return false
}

// hold and release count the decisions of an alert.
func (x *alertIndex) hold(id int64) {
	if r := x.byNumber(id); r != nil {
		r.live++
	}
}

func (x *alertIndex) release(id int64) {
	if r := x.byNumber(id); r != nil {
		// A decision may point at an alert that came after it, and does not count.
		if r.live = max(0, r.live-1); r.live == 0 {
			heap.Push(&x.free, dated{r.at, id})
		}
	}
}

// evict removes alerts above the limits, the oldest first, never one that a kept
// decision points at; it returns their ids.
func (x *alertIndex) evict(now time.Time) []int64 {
	x.settle()
	var out []int64
	since := now.Add(-x.limits.age).UnixMilli()
	for len(x.free) > 0 {
		r := x.byNumber(x.free[0].id)
		if r != nil && r.live == 0 && r.at == x.free[0].at {
			if len(x.byID) <= x.limits.count && x.bytes <= x.limits.bytes && r.at >= since {
				break
			}
			out = append(out, r.id)
			x.remove(r)
		}
		heap.Pop(&x.free)
	}
	if len(x.order) > 2*len(x.byID)+1024 {
		x.order = slices.DeleteFunc(x.order, func(o dated) bool { return x.byID[o.id] == 0 })
	}
	return out
}

func (x *alertIndex) remove(r *alertRecord) {
	if r.incidents && x.byIncident[r.incident] == r.id {
		delete(x.byIncident, r.incident)
	}
	x.unname(r)
	x.bytes -= int64(r.size)
	if x.tally[r.scenario]--; x.tally[r.scenario] == 0 {
		delete(x.tally, r.scenario)
	}
	for l := range x.led(r) {
		for _, n := range []name{l.kind, l.origin, l.scenario} {
			x.names.drop(n)
		}
	}
	for _, n := range []name{r.machine, r.scope, r.scenario, r.kind} {
		x.names.drop(n)
	}
	slot := x.byID[r.id]
	delete(x.more, r.id)
	delete(x.byID, r.id)
	x.records.give(slot)
}

// indexNames makes known by one look: without, all alerts are looked at.
func (x *alertIndex) indexNames() {
	x.byUUID, x.twins = make(map[named]int64, len(x.byID)), map[named][]int64{}
	for _, slot := range x.byID {
		x.nameRecord(x.records.at(slot))
	}
}

func (x *alertIndex) nameRecord(r *alertRecord) {
	if other := x.byUUID[r.uuid]; other != 0 {
		x.twins[r.uuid] = append(x.twins[r.uuid], other)
	}
	x.byUUID[r.uuid] = r.id
}

// known reports whether there is an alert of a uuid.
func (x *alertIndex) known(uuid string) bool {
	name := x.name(uuid)
	if x.byUUID != nil {
		return x.byUUID[name] != 0
	}
	for _, slot := range x.byID {
		if x.records.at(slot).uuid == name {
			return true
		}
	}
	return false
}

// unname takes the uuid from an alert, and leaves it to another that has it too.
func (x *alertIndex) unname(r *alertRecord) {
	if x.byUUID == nil {
		return
	}
	twins := x.twins[r.uuid]
	switch n := len(twins); {
	case x.byUUID[r.uuid] != r.id:
		twins = slices.DeleteFunc(twins, func(id int64) bool { return id == r.id })
	case n == 0:
		delete(x.byUUID, r.uuid)
	default:
		x.byUUID[r.uuid], twins = twins[n-1], twins[:n-1]
	}
	if len(twins) > 0 {
		x.twins[r.uuid] = twins
	} else {
		delete(x.twins, r.uuid)
	}
}

// datedHeap has the oldest alert at its head.
type datedHeap []dated

func (h datedHeap) Len() int           { return len(h) }
func (h datedHeap) Less(i, j int) bool { return compareDated(h[i], h[j]) < 0 }
func (h datedHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *datedHeap) Push(x any) { *h = append(*h, x.(dated)) }

// Pop is for package heap.
func (h *datedHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	*h = old[:len(old)-1]
	return d
}
