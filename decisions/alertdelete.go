package decisions

import (
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// alertPart is how many alerts are deleted at a time.
const alertPart = 256

// DeleteAlerts removes the alerts that match f, all of them whatever its Limit and,
// if it says nothing, all there are. The decisions that they led to end, which is
// announced like any end, and are returned as they were; one that a later alert
// prolonged stays with that alert. n is how many alerts went, also with an error; by
// is who wanted it.
//
// In a fleet the ends of the decisions travel. The alerts themselves go here only, and
// a Reconcile brings them back.
func (b *Book) DeleteAlerts(f AlertFilter, by string) (n int, ended []Decision, err error) {
	f.Limit = -1
	b.leave()
	if err := b.enter(0, false); err != nil {
		return 0, nil, fmt.Errorf("deleting alerts: %w", err)
	}
	b.write.Unlock()
	s := f.compile(b.alerts.keys, b.o.Now())
	for ids := range slices.Chunk(b.foundAlerts(s), alertPart) {
		some, gone, err := b.deleteAlerts(s, ids, by)
		n, ended = n+some, append(ended, gone...)
		if err != nil {
			return n, ended, fmt.Errorf("deleting alerts: %w", err)
		}
	}
	if n > 0 {
		b.o.Logger.Info("alerts deleted", zap.Int("count", n), zap.Int("decisions", len(ended)), zap.String("by", by))
	}
	return n, ended, nil
}

// deleteAlerts removes those of ids that match s still.
func (b *Book) deleteAlerts(s *alertSearch, ids []int64, by string) (n int, ended []Decision, err error) {
	if err := b.enter(0, false); err != nil {
		return 0, nil, err
	}
	defer b.write.Unlock()
	j := newJob(len(ids))
	b.mu.Lock()
	s.renew(b.alerts.names)
	for _, id := range ids {
		r := b.alerts.byNumber(id)
		if r == nil || !s.matches(b, r) {
			continue
		}
		for l := range b.alerts.led(r) {
			if d := b.index.byNumber(l.id); d != nil && d.alertID == id {
				ended = append(ended, b.index.decision(d))
				b.end(d, j)
			}
		}
		b.alerts.remove(r)
		j.remove(alertBucket, idKey(id))
		n++
	}
	b.tidy(b.o.Now(), j)
	b.mu.Unlock()
	if b.fleet.ops.on && len(ended) > 0 {
		b.recordDelete(ended, by)
	}
	b.finish(j)
	return n, ended, nil
}
