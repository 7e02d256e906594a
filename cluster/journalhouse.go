package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	idBlock    = 10_000
	grantsTo   = 1 << 38 // ids from there on need no grant; see Book.Grant
	houseEvery = time.Second
	pruneEvery = time.Minute
	pruneMany  = 1000 // of each in one call
	pruneCalls = 100  // in a row
)

// keepHouse is the goroutine that brings ids to the Book and, on the one node that
// has the lease, takes out of Redis what is over.
func (j *Journal) keepHouse(ctx context.Context) {
	t := time.NewTicker(houseEvery)
	defer t.Stop()
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !j.place().joined || !j.c.Up() {
			continue
		}
		if err := j.grant(ctx); err != nil {
			j.report("setting ids aside", err)
		}
		if time.Since(pruned) < pruneEvery || !j.lease.Held() {
			continue
		}
		pruned = time.Now()
		if err := j.prune(ctx); err != nil {
			j.report("clearing away in redis", err)
		}
	}
}

// grant sets ids aside for the Book if it wants more.
func (j *Journal) grant(ctx context.Context) error {
	decision, alert := j.book.Wants()
	if !decision && !alert {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	df, dt, err := j.takeIDs(ctx, decision, "d")
	if err != nil {
		return err
	}
	af, at, err := j.takeIDs(ctx, alert, "a")
	if err != nil {
		return err
	}
	j.book.Grant(df, dt, af, at)
	return nil
}

// takeIDs sets a block of ids aside, if it is wanted.
func (j *Journal) takeIDs(ctx context.Context, wanted bool, field string) (from, to int64, err error) {
	if !wanted {
		return 0, 0, nil
	}
	to, err = j.c.rdb().HIncrBy(ctx, j.keys.ids, field, idBlock).Result()
	if err == nil && (to < idBlock || to >= grantsTo) {
		err = fmt.Errorf("the count of ids in redis makes no sense: field %s of %s is %d", field, j.keys.ids, to)
	}
	return to - idBlock + 1, to, err
}

// prune takes out what is over, in calls that are short each.
func (j *Journal) prune(ctx context.Context) error {
	for range pruneCalls {
		one, cancel := context.WithTimeout(ctx, callLimit)
		v, err := j.pruneScript.Run(one, j.keys.prune(), pruneMany, j.o.MaxDecisions, j.o.MaxAlerts,
			j.o.AlertAge.Milliseconds(), logAge.Milliseconds())
		cancel()
		if err != nil {
			return err
		}
		if list, ok := v.([]any); !ok || len(list) != 3 {
			return errors.New("the script gave no answer")
		} else if !full(list) {
			break
		}
	}
	return j.dropOverLists(ctx)
}

// full tells whether a call took out all that it may, so that there may be more.
func full(list []any) bool {
	for _, n := range list {
		if n == int64(pruneMany) {
			return true
		}
	}
	return false
}
