package cluster

import (
	"context"
	"fmt"
	"strconv"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

const (
	restoreDecisions = 128  // in one change
	restoreIDs       = 2048 // deleted ones in one change
	askMany          = 1000 // members in one question
)

// restore brings back what this node has and Redis has not: all nodes do, so that
// the union is there. What this node remembers as deleted is deleted.
func (j *Journal) restore(ctx context.Context) error {
	own := j.book.Export()
	now := j.now()
	out := carrier{j: j, ctx: ctx}
	gone := j.tombstones()
	for len(gone) > 0 && out.err == nil {
		n := min(len(gone), restoreIDs)
		out.add(&decisions.Op{Kind: decisions.OpDelete, IDs: gone[:n], At: now})
		gone = gone[n:]
	}
	alerts, err := j.missingAlerts(ctx, own.Alerts)
	if err != nil {
		return err
	}
	for i := range alerts {
		out.add(&decisions.Op{Kind: decisions.OpAppend, Alert: alerts[i], At: now})
	}
	for rest := own.Decisions; len(rest) > 0 && out.err == nil; {
		n := min(len(rest), askMany)
		some, err := j.missingDecisions(ctx, rest[:n])
		if err != nil {
			return err
		}
		for len(some) > 0 {
			m := min(len(some), restoreDecisions)
			out.add(&decisions.Op{Kind: decisions.OpAppend, Decisions: some[:m], At: now})
			some = some[m:]
		}
		rest = rest[n:]
	}
	for i := range own.Allow {
		out.add(&decisions.Op{Kind: decisions.OpAllow, Allow: &own.Allow[i], At: now})
	}
	if err := out.flush(); err != nil {
		return err
	}
	for _, l := range j.book.Lists() {
		if err := j.putList(ctx, l, 0, ""); err != nil {
			return fmt.Errorf("list %s: %w", l.Name, err)
		}
	}
	j.restores.Add(1)
	return nil
}

// carrier gathers changes to be brought back into calls of a bounded size.
type carrier struct {
	j    *Journal
	ctx  context.Context
	args []any
	size int
	err  error
}

func (c *carrier) add(op *decisions.Op) {
	if c.err != nil {
		return
	}
	args, err := encodeOp(op, 0)
	if err != nil {
		c.j.refuse("own", err)
		return
	}
	c.args, c.size = append(c.args, args...), c.size+sizeOf(args)
	if c.size >= sendBytes {
		c.err = c.flush()
	}
}

// flush sends what was gathered; the error is the first that there was.
func (c *carrier) flush() error {
	if c.err == nil && len(c.args) > 0 {
		_, c.err = c.j.runAppend(c.ctx, c.args)
		c.args, c.size = nil, 0
	}
	return c.err
}

// missingDecisions are those that are not over and that Redis has not, or with an
// earlier end, or has as deleted.
func (j *Journal) missingDecisions(ctx context.Context, all []decisions.Decision) ([]decisions.Decision, error) {
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = strconv.FormatInt(all[i].ID, 10)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// A missing member scores 0.
	ends, err := j.c.rdb().ZMScore(ctx, j.keys.du, ids...).Result()
	if err != nil {
		return nil, err
	}
	now := j.now()
	var out []decisions.Decision
	for i := range all {
		if all[i].Until.After(now) && (i >= len(ends) || int64(ends[i]) < all[i].Until.UnixMilli()) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

func (j *Journal) missingAlerts(ctx context.Context, all []event.Alert) ([]*event.Alert, error) {
	var out []*event.Alert
	for len(all) > 0 {
		n := min(len(all), askMany)
		uuids := make([]string, n)
		for i := range n {
			uuids[i] = all[i].UUID
		}
		one, cancel := context.WithTimeout(ctx, callLimit)
		ids, err := j.c.rdb().HMGet(one, j.keys.uuid, uuids...).Result()
		cancel()
		if err != nil {
			return nil, err
		}
		for i := range n {
			if i >= len(ids) || ids[i] == nil {
				out = append(out, &all[i])
			}
		}
		all = all[n:]
	}
	return out, nil
}

// tombstones are the ids of decisions that were deleted before their end, as far as
// the Book remembers.
func (j *Journal) tombstones() []int64 {
	var out []int64
	now := j.now()
	for cursor := int64(0); ; {
		cs, next := j.book.Since(cursor, 10*askMany)
		for _, c := range cs {
			if c.Gone && !c.Decision.Suppressed && c.Due.After(now) {
				out = append(out, c.Decision.ID)
			}
		}
		if cursor = next; len(cs) == 0 {
			return out
		}
	}
}
