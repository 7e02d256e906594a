package firewall

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Stats returns the present state. With nftables it asks the kernel for the
// counters, one small request.
func (t *Table) Stats() Stats {
	traffic := t.counters.read()
	now := t.o.Now().UnixNano()
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.stats
	s.Entries = t.mirror.live(now)
	s.Evicted = t.mirror.evicted
	s.ReportsMissed = t.missed.Load()
	s.Dropped = make(map[string]Traffic, len(traffic))
	for number, c := range traffic {
		if number >= 1 && number <= len(t.origins) {
			s.Dropped[t.origins[number-1]] = c
		}
	}
	return s
}

// List returns the entries that are enforced, or would be, sorted by prefix.
// Their prefixes are as written: a single IPv6 address is its wider network.
func (t *Table) List() []Ban {
	now := t.o.Now().UnixNano()
	t.mu.RLock()
	bans := make([]Ban, 0, len(t.mirror.entries))
	for k, e := range t.mirror.entries {
		if e.until > now {
			bans = append(bans, t.ban(k, e))
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(bans, func(a, b Ban) int {
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		return a.Prefix.Bits() - b.Prefix.Bits()
	})
	return bans
}

// Explain returns the most specific entry for which packets from a are dropped;
// false if they pass, be it that a is in the allow list.
func (t *Table) Explain(a netip.Addr) (Ban, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Ban{}, false
	}
	now := t.o.Now().UnixNano()
	t.mu.RLock()
	defer t.mu.RUnlock()
	if slices.ContainsFunc(t.allow, func(s span) bool { return s.contains(a) }) {
		return Ban{}, false
	}
	k, e, ok := t.mirror.find(a, now)
	if !ok {
		return Ban{}, false
	}
	return t.ban(k, e), true
}

// ban turns an entry into its public form.
func (t *Table) ban(k key, e entry) Ban {
	return Ban{Prefix: k.prefix(), Until: time.Unix(0, e.until), Origin: t.origins[e.origin-1]}
}

// counters adds up what the tables of one life time have dropped. The counters
// of a table die with it; what they last showed is carried over.
type counters struct {
	mu    sync.Mutex
	fetch func() (map[int]Traffic, error) // by number of the origin; nil in dry-run
	gone  map[int]Traffic
	last  map[int]Traffic
}

func newCounters() *counters { return &counters{gone: make(map[int]Traffic)} }

// read returns the sums. When the kernel does not answer they stay what they were.
func (c *counters) read() map[int]Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fetch != nil {
		if now, err := c.fetch(); err == nil {
			c.last = now
		}
	}
	sum := maps.Clone(c.gone)
	addTraffic(sum, c.last)
	return sum
}

// rollover says that the counters begin at zero again, and how to read them.
func (c *counters) rollover(fetch func() (map[int]Traffic, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addTraffic(c.gone, c.last)
	c.last, c.fetch = nil, fetch
}

func addTraffic(sum, more map[int]Traffic) {
	for n, t := range more {
		s := sum[n]
		sum[n] = Traffic{s.Packets + t.Packets, s.Bytes + t.Bytes}
	}
}
