package decisions

import (
	"cmp"
	"slices"
)

// Tally counts decisions in force, those of lists included, that are neither
// suppressed nor simulated.
type Tally struct {
	Scenario string // of a list its own, which is its name if it has no other
	Origin   string
	Type     string
	N        int
}

// tallied is what a Tally counts by, in names.
type tallied struct{ scenario, origin, kind name }

// Tally returns the counts, sorted by origin, scenario and type. It costs the same
// however many decisions there are. Those that ended since the last Expire are among
// them.
func (b *Book) Tally() []Tally {
	b.mu.RLock()
	out := make([]Tally, 0, len(b.index.tallies))
	for k, n := range b.index.tallies {
		out = append(out, Tally{b.index.names.text(k.scenario), b.index.names.text(k.origin), b.index.names.text(k.kind), n})
	}
	b.mu.RUnlock()
	for _, l := range b.Lists() {
		if n := l.Len() - b.Suppressed(l); n > 0 && !l.Simulated {
			out = append(out, Tally{l.Scenario, l.Origin(), l.Type, n})
		}
	}
	slices.SortFunc(out, func(x, y Tally) int {
		return cmp.Or(cmp.Compare(x.Origin, y.Origin), cmp.Compare(x.Scenario, y.Scenario), cmp.Compare(x.Type, y.Type))
	})
	return out
}

// AlertTally returns how many alerts are kept, by scenario.
func (b *Book) AlertTally() map[string]int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make(map[string]int, len(b.alerts.tally))
	for n, count := range b.alerts.tally {
		out[b.alerts.names.text(n)] = count
	}
	return out
}
