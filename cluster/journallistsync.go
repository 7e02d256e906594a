package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
)

// keepLists is the goroutine that makes the Book's lists those of the fleet. It has
// time: lists are large, and decisions must not wait for them.
func (j *Journal) keepLists(ctx context.Context) {
	next := time.NewTimer(listsEvery)
	defer next.Stop()
	given := map[string]listState{} // that cannot be used
	tries := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.lists:
			tries = 0
		case <-next.C:
		}
		wait := listsEvery
		if j.place().joined && j.c.Up() {
			if err := j.syncLists(ctx, given); err != nil {
				j.listFails.Add(1)
				j.report("loading lists", err)
				// One that is just being replaced is whole a moment later.
				if tries++; tries < sendTries {
					wait = listRetry
				}
			}
		}
		next.Reset(wait)
	}
}

// listState is what Redis has in force of a list; with version 0 none, or one whose
// state is not understood.
func (j *Journal) listState(ctx context.Context, name string) (listState, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	text, err := j.c.rdb().HGet(ctx, j.keys.ls, name).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return listState{}, err
	}
	s, err := parseListState(text)
	if text != "" && err != nil {
		j.refuse("list", err)
	}
	return s, nil
}

// listStates are those of all lists that Redis has in force.
func (j *Journal) listStates(ctx context.Context) (map[string]listState, error) {
	one, cancel := context.WithTimeout(ctx, callLimit)
	n, err := j.c.rdb().HLen(one, j.keys.ls).Result()
	cancel()
	if err != nil {
		return nil, err
	}
	if n > maxListNames {
		return nil, fmt.Errorf("there are %d lists in redis, at most %d are taken: delete those of hash %s that no node put there", n, maxListNames, j.keys.ls)
	}
	out := map[string]listState{}
	err = j.scan(ctx, j.keys.ls, maxListNames, 256, func(name string, text []byte) error {
		if err := decisions.CheckListName(name); err != nil {
			return err
		}
		s, err := parseListState(string(text))
		out[name] = s
		return err
	})
	return out, err
}

// syncLists loads what is different and drops what is gone. One list that is wrong
// leaves its last good state in force and does not stop the others. given are those
// that it does not try again.
func (j *Journal) syncLists(ctx context.Context, given map[string]listState) error {
	all, err := j.listStates(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(given, func(name string, s listState) bool { return all[name] != s })
	waiting, err := j.waitingLists()
	if err != nil {
		return err
	}
	for _, l := range j.book.Lists() {
		if _, there := all[l.Name]; !there && !waiting[l.Name] {
			j.dropGone(l)
		}
	}
	var errs []error
	for name, want := range all {
		have := j.listNamed(name)
		switch {
		case want.version == 0, waiting[name], given[name] == want, want.until <= j.now().UnixMilli():
			continue
		case have != nil && (have.Version > want.version || stateOf(have) == want):
			continue
		}
		l, err := j.loadList(ctx, name, want, have)
		if err == nil {
			err = j.useList(l)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", name, err))
			if !errors.Is(err, errEntry) && judge(err) == nil {
				given[name] = want
				j.refuse("list", err)
			}
		}
	}
	return errors.Join(errs...)
}

// waitingLists are those that the fleet is still to be told of.
func (j *Journal) waitingLists() (map[string]bool, error) {
	out := map[string]bool{}
	for after := int64(0); ; {
		ops, err := j.book.Ops(after, askMany)
		if err != nil || len(ops) == 0 {
			return out, err
		}
		for i := range ops {
			if ops[i].Kind == decisions.OpList {
				out[ops[i].List] = true
			}
		}
		after = ops[len(ops)-1].Seq
	}
}

// dropGone drops a list here that the fleet does not have, unless it was just put.
func (j *Journal) dropGone(l *decisions.Blocklist) {
	j.listing.Lock()
	defer j.listing.Unlock()
	waiting, err := j.waitingLists()
	if err != nil || waiting[l.Name] || j.listNamed(l.Name) != l {
		return
	}
	if err := j.book.DropList(l.Name); err != nil && !errors.Is(err, decisions.ErrNoList) {
		j.report("dropping a list", err)
	}
}

// useList puts a list of the fleet in force, unless a newer one was put here.
func (j *Journal) useList(l *decisions.Blocklist) error {
	j.listing.Lock()
	defer j.listing.Unlock()
	if have := j.listNamed(l.Name); have != nil && have.Version > l.Version {
		return nil
	}
	if err := j.book.PutList(l); err != nil {
		return err
	}
	j.listLoads.Add(1)
	j.o.Wake()
	return nil
}

// loadList reads a list: by its patch if that is for what is here, else the whole.
func (j *Journal) loadList(ctx context.Context, name string, want listState, have *decisions.Blocklist) (*decisions.Blocklist, error) {
	if have != nil {
		if text, err := j.field(ctx, j.keys.patch(name), "head"); err == nil && len(text) < 256 {
			head, patch, err := j.fetch(ctx, j.keys.patch(name))
			if err == nil && head.From == have.Version && head.Version == want.version {
				if l, err := have.Apply(patch); err == nil && stateOf(l) == want && l.Name == name {
					j.listPatches.Add(1)
					return l, nil
				}
			}
		}
	}
	_, data, err := j.fetch(ctx, j.keys.list(name))
	if err != nil {
		return nil, err
	}
	l, err := decisions.DecodeBlocklist(data)
	if err != nil {
		return nil, err
	}
	if l.Name != name || stateOf(l) != want || l.Base == 0 {
		return nil, fmt.Errorf("%w: what is stored is another list or version", errEntry)
	}
	return l, nil
}

// dropOverLists takes lists out of Redis whose end has come.
func (j *Journal) dropOverLists(ctx context.Context) error {
	all, err := j.listStates(ctx)
	if err != nil {
		return err
	}
	for name, s := range all {
		if s.version == 0 || s.until > j.now().UnixMilli() {
			continue
		}
		op, err := j.listOp(name)
		if err == nil {
			err = j.dropList(ctx, name, 0, op)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
