package localapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	maxKeptElement = 96 << 10  // bytes of one report
	maxKeptRow     = 250 << 10 // bytes of all that is stored of a reporter
	maxKeptUsage   = 64 << 20  // bytes of all reports
	maxSeries      = 1_000     // totals of one reporter
)

// Usage is what one bouncer or machine reported of its work.
type Usage struct {
	Kind string // "bouncer" or "machine"
	Name string
	At   time.Time
	// Element is its latest report, as the Central API takes it, with name and times
	// as the Registry knows them. nil where it had to give way to newer ones.
	Element json.RawMessage
	// Totals are sums over its reports, of items whose names begin with active_ the
	// latest, sorted; at most 1,000 of a reporter.
	Totals []Total
	// Dropped counts values that found no place among Totals.
	Dropped int64
}

// Total is one figure.
type Total struct {
	Name   string            `json:"name"`
	Unit   string            `json:"unit"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
}

// usageRow is a Usage in memory.
type usageRow struct {
	kind, name string
	at         time.Time
	element    json.RawMessage
	totals     map[string]*Total
	dropped    int64
}

// storedUsage is a usageRow, as it is stored.
type storedUsage struct {
	At      time.Time       `json:"at"`
	Element json.RawMessage `json:"element,omitempty"`
	Totals  []*Total        `json:"totals,omitempty"`
	Dropped int64           `json:"dropped,omitempty"`
}

func usageKey(kind, name string) string { return kind + "/" + name }

// encode leaves out what makes a row too long for a store.
func (u *usageRow) encode() []byte {
	s := storedUsage{u.at, u.element, slices.Collect(maps.Values(u.totals)), u.dropped}
	v, _ := json.Marshal(s)
	if len(v) > maxKeptRow {
		s.Element = nil
		v, _ = json.Marshal(s)
	}
	for len(v) > maxKeptRow {
		s.Dropped += int64(len(s.Totals) - len(s.Totals)/2)
		s.Totals = s.Totals[:len(s.Totals)/2]
		v, _ = json.Marshal(s)
	}
	return v
}

// takeUsage holds mu.
func (r *Registry) takeUsage(key string, value []byte) error {
	kind, name, ok := strings.Cut(key, "/")
	if value == nil {
		r.dropUsage(kind, name)
		return nil
	}
	var s storedUsage
	if err := json.Unmarshal(value, &s); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if !ok || kind == kindBouncer && r.bouncers[name] == nil || kind == kindMachine && r.machines[name] == nil {
		return nil
	}
	if old := r.usage[key]; old != nil && old.at.After(s.At) {
		return nil
	}
	u := &usageRow{kind: kind, name: name, at: s.At, element: s.Element, totals: map[string]*Total{}, dropped: s.Dropped}
	for _, t := range s.Totals[:min(len(s.Totals), maxSeries)] {
		if t != nil {
			u.totals[t.key()] = t
		}
	}
	r.setUsage(u)
	return nil
}

// reported adds a report to what there is of a caller.
func (r *Registry) reported(kind, name string, e *usageElement) {
	element := e.element()
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == kindBouncer && r.bouncers[name] == nil || kind == kindMachine && r.machines[name] == nil {
		return // deleted meanwhile
	}
	u := &usageRow{kind: kind, name: name, totals: map[string]*Total{}}
	if old := r.usage[usageKey(kind, name)]; old != nil {
		u.totals, u.dropped = old.totals, old.dropped
	}
	u.at, u.element = r.now().UTC().Round(0), element
	for _, w := range e.Metrics {
		for _, it := range w.Items {
			u.add(it)
		}
	}
	r.setUsage(u)
	r.dirty[dirt{tableUsage, usageKey(kind, name)}] = struct{}{}
}

// add counts an item. What cannot be a sum of events is left out.
func (u *usageRow) add(it usageItem) {
	t := &Total{Name: it.Name, Unit: it.Unit, Labels: it.Labels}
	key := t.key()
	if *it.Value < 0 {
		u.dropped++
		return
	}
	if old := u.totals[key]; old != nil {
		t = old
	} else if len(u.totals) >= maxSeries {
		u.dropped++
		return
	}
	if strings.HasPrefix(it.Name, "active_") {
		t.Value = 0
	}
	t.Value = min(t.Value+*it.Value, math.MaxFloat64) // JSON knows no infinity
	u.totals[key] = t
}

// key is name, unit and labels in one text.
func (t *Total) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q%q", t.Name, t.Unit)
	for _, k := range slices.Sorted(maps.Keys(t.Labels)) {
		fmt.Fprintf(&b, "%q%q", k, t.Labels[k])
	}
	return b.String()
}

// setUsage puts u in the place of what there is. Where all reports together are too
// long, the oldest go; totals stay. It holds mu.
func (r *Registry) setUsage(u *usageRow) {
	key := usageKey(u.kind, u.name)
	if old := r.usage[key]; old != nil {
		r.kept -= len(old.element)
	}
	r.usage[key] = u
	for r.kept += len(u.element); r.kept > maxKeptUsage; {
		var oldest *usageRow
		for _, o := range r.usage {
			if o != u && o.element != nil && (oldest == nil || o.at.Before(oldest.at)) {
				oldest = o
			}
		}
		if oldest == nil {
			return
		}
		r.kept -= len(oldest.element)
		oldest.element = nil
	}
}

// dropUsage holds mu.
func (r *Registry) dropUsage(kind, name string) {
	key := usageKey(kind, name)
	if u := r.usage[key]; u != nil {
		r.kept -= len(u.element)
		delete(r.usage, key)
	}
	delete(r.dirty, dirt{tableUsage, key})
}

// Usage is the latest of every reporter, sorted by kind and name.
func (r *Registry) Usage() []Usage {
	r.mu.Lock()
	all := make([]Usage, 0, len(r.usage))
	for _, u := range r.usage {
		one := Usage{Kind: u.kind, Name: u.name, At: u.at, Dropped: u.dropped, Element: r.named(u)}
		for _, t := range u.totals {
			one.Totals = append(one.Totals, *t)
		}
		all = append(all, one)
	}
	r.mu.Unlock()
	for i := range all {
		slices.SortFunc(all[i].Totals, func(a, b Total) int { return strings.Compare(a.key(), b.key()) })
	}
	slices.SortFunc(all, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// named puts what the Registry knows of the reporter into its report. It holds mu.
// CrowdSec compatible: what a component says of its own name does not count.
func (r *Registry) named(u *usageRow) json.RawMessage {
	var e usageElement
	if u.element == nil || json.Unmarshal(u.element, &e) != nil {
		return nil
	}
	e.Name = u.name
	if b := r.bouncers[u.name]; u.kind == kindBouncer && b != nil {
		e.Type, e.LastPull = b.Type, seconds(b.LastPull)
	}
	if m := r.machines[u.name]; u.kind == kindMachine && m != nil {
		e.LastPush, e.LastUpdate = seconds(m.LastPush), seconds(m.LastHeartbeat)
	}
	b, err := json.Marshal(&e)
	if err != nil {
		return nil
	}
	return b
}

// seconds is the Unix time, 0 for never.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
