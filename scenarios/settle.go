package scenarios

import "time"

// slackLeast is by how much an event of a log may be older than the log's present and
// still find its bucket, at least.
const slackLeast = 10 * time.Minute

// Settle frees what is over at present, an instant on the clock of the logs that are
// replayed, and overflows the buckets whose duration has ended; it looks at a
// sixteenth of all. It is for a Memory that nothing but a replay fills: Sweep goes by
// our own clock, of which hardly any passes in one.
//
// Nothing changes by it but when such an overflow is handed on, as long as no later
// event is older than present by more than ten minutes, or than a bucket lives where
// that is longer. An event that is older finds a new bucket.
func (m *Memory) Settle(present time.Time) {
	t := m.table.Load()
	var out []*burst
	for i := range m.shards {
		out = m.shards[i].settle(instant(present), t, out)
	}
	m.strike(out)
}

// settle looks at a sixteenth of the slab; it appends what overflows.
func (sh *shard) settle(present int64, t *table, out []*burst) []*burst {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.brush(func(e *entry) {
		if int(e.slot) >= len(t.scenarios) {
			return // of rules that come into force just now
		}
		s := t.scenarios[e.slot]
		// No later event is older: what is over by then is over for all of them.
		over := present - int64(max(s.life, slackLeast))
		switch {
		case e.flags&filled == 0:
			if e.hole <= over {
				sh.release(e)
			}
		case s.Timed():
			if e.deadline(s.life) <= over {
				if b := sh.strike(e, s); b != nil {
					out = append(out, b)
				}
			}
		case later(e.touched, int64(s.life)) < over:
			sh.spill(e)
			sh.stats.Expired++
			if e.hole <= over {
				sh.release(e)
			}
		}
	})
	return out
}
