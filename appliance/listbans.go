package appliance

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/firewall"
)

// maxBans is how many bans the kernel holds. Those of lists leave some place for the
// node's own, or as much as these take.
const (
	maxBans = 1_000_000
	ownBans = 100_000
)

// listBans are the lists whose bans the table has.
type listBans struct {
	lists []*decisions.Blocklist
	ends  map[string]time.Time // of their bans in the table, by name
}

// end is when the bans of l end in the table. A list that is renewed every hour ends
// an hour later each time; to write all of it for that would be a waste, so that the
// table's end may lag behind by half of what is left.
func (b *listBans) end(l *decisions.Blocklist, now time.Time) time.Time {
	if end, ok := b.ends[l.Name]; ok && !end.After(l.Until) && end.Sub(now) > l.Until.Sub(now)/2 {
		return end
	}
	return l.Until
}

// lag reports whether the end of some list in the table is too far behind.
func (b *listBans) lag(now time.Time) bool {
	return slices.ContainsFunc(b.lists, func(l *decisions.Blocklist) bool {
		return l.Type == decisions.TypeBan && !l.Simulated && !b.end(l, now).Equal(b.ends[l.Name])
	})
}

// listed are the bans of lists, as far as there is room, and notes which lists they
// are. Of two bans of one prefix the table takes the longer one. w.mu is held.
func (w *wall) listed(room int) firewall.Bans {
	now := time.Now()
	next := listBans{lists: w.st.book.Lists(), ends: map[string]time.Time{}}
	all := 0
	for _, l := range next.lists {
		if l.Type == decisions.TypeBan && !l.Simulated {
			next.ends[l.Name] = w.onLists.end(l, now)
			all += l.Len() - w.st.book.Suppressed(l)
		}
	}
	w.onLists = next
	left := int64(max(0, all-room))
	if w.unlisted.Swap(left) != left && left > 0 {
		w.st.owner.logger().Warn("the firewall has no place for all that is on lists; the rest holds at the HTTP layer", zap.Int64("left out", left))
	}
	return firewall.Bans{Len: min(all, room), All: func(yield func(firewall.Ban) bool) {
		for _, l := range next.lists {
			end, has := next.ends[l.Name]
			if !has {
				continue
			}
			origin := l.Origin()
			for p := range l.All() {
				if w.st.allow.Covers(p) {
					continue
				}
				if room--; room < 0 || !yield(firewall.Ban{Prefix: p, Until: end, Origin: origin}) {
					return
				}
			}
		}
	}}
}
