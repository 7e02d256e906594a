package scenarios

// Clear ends the live buckets of scenarios for which stay says no, without an alert,
// and returns how many those were. Blackholes stay, and so do buckets of a replay and
// of lanes, whose events come from here alone. It is for a node whose buckets are
// kept elsewhere and that has counted by itself for a while.
func (m *Memory) Clear(stay func(*Scenario) bool) (ended int64) {
	t := m.table.Load()
	gone := make([]bool, len(t.scenarios))
	for i, s := range t.scenarios {
		gone[i] = !stay(s)
	}
	for i := range m.shards {
		ended += m.shards[i].forget(gone)
	}
	return ended
}

// forget ends the live buckets of scenarios that are gone, by their number.
func (sh *shard) forget(gone []bool) (ended int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for n := 0; n < sh.size; n++ { // releasing the last entry empties the slab
		e := sh.at(uint32(n))
		if e.flags&filled == 0 || e.flags&(replay|laned) != 0 || int(e.slot) >= len(gone) || !gone[e.slot] {
			continue
		}
		ended++
		if sh.spill(e); e.hole <= e.touched {
			sh.release(e)
		}
	}
	return ended
}
