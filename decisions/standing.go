package decisions

import (
	"time"

	"github.com/rampart-edge/rampart/event"
)

// Standing brings the Until and the Duration of a's decisions to what they are now:
// later for one that was prolonged, and not after now for one that was ended. The
// decisions are the caller's and are changed in place.
func (b *Book) Standing(a *event.Alert) {
	now := b.o.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	for i := range a.Decisions {
		d := &a.Decisions[i]
		until, err := time.Parse(time.RFC3339, d.Until)
		if r := b.index.byNumber(d.ID); r != nil {
			until = timeOf(r.until)
		} else if err != nil || until.After(now) {
			until = now.UTC() // when exactly it was ended is not kept with the alert
		}
		d.Until, d.Duration = until.Format(time.RFC3339), until.Sub(now).Round(time.Second).String()
	}
}
