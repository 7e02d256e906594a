package decisions

import (
	"slices"
)

// SimulateLists says which lists only simulate, those in force and those to come, until
// the next call. Lookups leave them out from then on; Lists, List, Query and whoever
// follows the lists see Simulated.
func (b *Book) SimulateLists(simulated func(name string) bool) error {
	b.listing.Lock()
	defer b.listing.Unlock()
	b.simulate = simulated
	lists := b.Lists()
	if !slices.ContainsFunc(lists, func(l *Blocklist) bool { return l.Simulated != simulated(l.Name) }) {
		return nil
	}
	return b.useLists(lists)
}

// markSimulated makes Simulated of lists what was said last. The caller holds listing.
func (b *Book) markSimulated(lists []*Blocklist) {
	for i, l := range lists {
		if simulated := b.simulate != nil && b.simulate(l.Name); l.Simulated != simulated {
			other := *l // shares the entries
			other.Simulated = simulated
			lists[i] = &other
		}
	}
}
