package decisions

import (
	"fmt"

	"go.uber.org/zap"
)

// DeleteQuery ends the decisions that match q, an empty one all that are in force,
// and returns them as they were; by is who wanted it. Entries of lists stay: drop the
// list, or allow the address. With an error, those that were ended before it are
// returned.
func (b *Book) DeleteQuery(q Query, by string) ([]Decision, error) {
	left := q.Limit
	if left <= 0 {
		left = -1
	}
	gone, err := b.deleteFound(q.compile(b.index.keys, b.o.Now()), max(q.Offset, 0), left, by)
	if err != nil {
		return gone, fmt.Errorf("deleting decisions: %w", err)
	}
	return gone, nil
}

// deleteFound ends what matches s, some at a time. skip and left (negative: all) are
// those of a Query.
func (b *Book) deleteFound(s *search, skip, left int, by string) (gone []Decision, err error) {
	b.leave()
	if err := b.enter(0, false); err != nil {
		return nil, err
	}
	b.write.Unlock()
	for ids := range b.found(s, skip, left) {
		if left == 0 {
			break
		}
		n := min(skip, len(ids))
		ids, skip = ids[n:], skip-n
		if left >= 0 {
			ids = ids[:min(left, len(ids))]
			left -= len(ids)
		}
		ended, err := b.endFound(s, ids, by)
		if gone = append(gone, ended...); err != nil {
			return gone, err
		}
	}
	if len(gone) > 0 {
		b.o.Logger.Info("decisions deleted", zap.Int("count", len(gone)), zap.String("by", by))
	}
	return gone, nil
}

// endFound ends those of ids that match s still.
func (b *Book) endFound(s *search, ids []int64, by string) ([]Decision, error) {
	if err := b.enter(0, false); err != nil {
		return nil, err
	}
	defer b.write.Unlock()
	gone := b.readFound(s, ids, make([]Decision, 0, len(ids)))
	b.endAll(gone, newJob(len(gone)), by)
	return gone, nil
}

// endAll ends decisions, and with them the job. The caller holds write.
func (b *Book) endAll(ds []Decision, j *job, by string) {
	b.mu.Lock()
	for i := range ds {
		b.end(b.index.byNumber(ds[i].ID), j)
	}
	b.tidy(b.o.Now(), j)
	b.mu.Unlock()
	if b.fleet.ops.on && len(ds) > 0 {
		b.recordDelete(ds, by)
	}
	b.finish(j)
}
