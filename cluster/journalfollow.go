package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	readCount = 256
	readBlock = time.Second
	// checkEvery is how often it is made sure that the log is the one that was joined.
	checkEvery = time.Second
)

// follow is the goroutine that brings the log into the Book.
func (j *Journal) follow(ctx context.Context) {
	up, ignore := j.c.changed()
	defer ignore()
	var slow backoff
	for ctx.Err() == nil {
		if !j.c.Up() {
			j.moved(func(p *position) { p.joined = false })
			select {
			case <-ctx.Done():
			case <-up:
			}
			continue
		}
		err := j.join(ctx)
		if err == nil {
			slow = 0
			err = j.tail(ctx)
		}
		j.moved(func(p *position) { p.joined = false })
		if err != nil {
			j.report("following the log", err)
			slow.wait(ctx)
		}
	}
}

// stand tells where the node is in the log: state, epoch, last entry, its number.
type stand struct {
	state, epoch, last string
	n                  int64
}

func (j *Journal) stand(ctx context.Context, epoch, cursor string) (stand, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	v, err := j.placeScript.Run(ctx, j.keys.place(), epoch, cursor)
	if err != nil {
		return stand{}, err
	}
	list, ok := texts(v)
	if !ok || len(list) != 4 {
		return stand{}, errors.New("the script gave no answer")
	}
	n, _ := strconv.ParseInt(list[3], 10, 64)
	return stand{list[0], list[1], list[2], n}, nil
}

// check makes sure that the log is the one joined and has what follows the cursor.
func (j *Journal) check(ctx context.Context) error {
	p := j.place()
	s, err := j.stand(ctx, p.epoch, p.cursor)
	if err != nil {
		return err
	}
	if s.state != "ok" {
		return fmt.Errorf("%w (%s)", errPlace, s.state)
	}
	if j.book.Incomplete() {
		return fmt.Errorf("%w (changes were dropped)", errPlace)
	}
	j.moved(func(p *position) {
		p.last, p.lastN = s.last, s.n
		if p.cursor == s.last {
			p.n = s.n
		}
	})
	return nil
}

// tail takes over what comes, until something is wrong.
func (j *Journal) tail(ctx context.Context) error {
	if err := j.check(ctx); err != nil {
		return err
	}
	j.moved(func(p *position) { p.tails = true })
	checked := time.Now()
	for {
		p := j.place()
		if !p.joined {
			return errPlace
		}
		list, err := j.read(ctx, p.cursor)
		if err != nil {
			return err
		}
		gap := len(list) > 0 && list[0].Values["p"] != p.cursor
		if gap || time.Since(checked) >= checkEvery {
			// Between two reads Redis may have restarted from an old copy, and the log
			// gone on from there.
			if err := j.check(ctx); err != nil {
				return err
			}
			checked = time.Now()
		}
		if len(list) > 0 {
			j.adopt(list)
		}
	}
}

// read returns the entries after a cursor, none if there were none for a while.
func (j *Journal) read(ctx context.Context, cursor string) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, readBlock+2*callTimeout)
	defer cancel()
	streams, err := j.c.rdb().XRead(ctx, &redis.XReadArgs{
		Streams: []string{j.keys.log, cursor}, Count: readCount, Block: readBlock,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	case len(streams) != 1:
		return nil, nil
	}
	return streams[0].Messages, nil
}

// adopt applies entries of the log.
func (j *Journal) adopt(list []redis.XMessage) {
	last := list[len(list)-1].ID
	batch := decisions.Adopted{Cursor: last}
	n, lists := int64(0), false
	for i := range list {
		e, err := decodeEntry(&list[i])
		n = max(n, e.n)
		if err != nil {
			j.refuse("entry", err)
			continue
		}
		if e.op.Kind == decisions.OpList {
			lists = true
		}
		own := int64(0)
		if e.node == j.c.o.Node {
			own = e.op.Seq
		}
		batch.Ops, batch.Own = append(batch.Ops, e.op), append(batch.Own, own)
	}
	for _, err := range j.book.Adopt(batch) {
		j.refuse("change", err)
	}
	j.adopted.Add(int64(len(batch.Ops)))
	j.moved(func(p *position) {
		p.cursor = last
		if n > 0 {
			p.n = n
		}
		if before(p.last, last) {
			p.last, p.lastN = last, p.n
		}
	})
	if lists {
		poke(j.lists)
	}
	j.o.Wake()
}

// before reports whether entry a is older than b.
func before(a, b string) bool {
	ma, _ := entryMillis(a)
	mb, _ := entryMillis(b)
	if ma != mb {
		return ma < mb
	}
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// refuse counts what was read from Redis and is not taken over.
func (j *Journal) refuse(what string, err error) {
	kind := what
	switch {
	case errors.Is(err, decisions.ErrTooWide):
		kind = "range too wide"
	case errors.Is(err, decisions.ErrBadOp), errors.Is(err, errEntry):
		kind = "not understood"
	}
	j.refused.Add(1)
	j.c.refuse(kind, err)
}
