package decisions

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// OriginAggregate is the origin, and the scenario, of bans that an Aggregator makes.
const OriginAggregate = "rampart/aggregate"

// AggregateConfig says when many banned addresses make a banned range.
type AggregateConfig struct {
	// Count is how many addresses of a range have to be banned, within Within of each
	// other and all still in force. 0: 8, and one hour.
	Count  int
	Within time.Duration
	// Prefix4 is the width of IPv4 ranges. 0: 24.
	Prefix4 int
	// Prefixes6 are the widths of IPv6 ranges, the narrowest first: of Count banned /64
	// the first is made, of Count of those the second, and so on. Empty: 56 and 48.
	Prefixes6 []int
	// Widest4 and Widest6 are what no range may be wider than. 0: 16 and 32.
	Widest4, Widest6 int
}

// Complete checks the configuration and fills in what was left out.
func (c AggregateConfig) Complete() (AggregateConfig, error) {
	for _, n := range []struct {
		v   *int
		def int
	}{{&c.Count, 8}, {&c.Prefix4, 24}, {&c.Widest4, 16}, {&c.Widest6, 32}} {
		if *n.v == 0 {
			*n.v = n.def
		}
	}
	if c.Within == 0 {
		c.Within = time.Hour
	}
	if len(c.Prefixes6) == 0 {
		c.Prefixes6 = []int{56, 48}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("aggregate: "+format, args...)) }
	if c.Count < 2 || c.Count > 256 {
		bad("count %d: expected 2 to 256", c.Count)
	}
	if c.Within < time.Minute || c.Within > historyDays*24*time.Hour {
		bad("within %s: expected one minute to seven days", c.Within)
	}
	if c.Widest4 < minBits4 || c.Widest6 < minBits6 {
		bad("widest /%d and /%d: nothing wider than a /%d (IPv4) and a /%d (IPv6) may be decided for", c.Widest4, c.Widest6, minBits4, minBits6)
	}
	if c.Prefix4 < c.Widest4 || c.Prefix4 > 31 {
		bad("IPv4 prefix %d: expected %d to 31", c.Prefix4, c.Widest4)
	}
	falling := slices.IsSortedFunc(c.Prefixes6, func(a, b int) int { return b - a }) && len(slices.Compact(slices.Clone(c.Prefixes6))) == len(c.Prefixes6)
	if !falling || c.Prefixes6[0] >= width64 || c.Prefixes6[len(c.Prefixes6)-1] < c.Widest6 {
		bad("IPv6 prefixes %v: expected widths from 63 down to %d, the narrowest range first", c.Prefixes6, c.Widest6)
	}
	return c, errors.Join(errs...)
}
