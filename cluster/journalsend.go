package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	sendOps   = 64
	sendBytes = 512 << 10
	// sendTries is how often a change is tried that Redis answers with an error which
	// is about that change, before it is given up.
	sendTries  = 5
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
	callLimit  = 10 * time.Second // of a call, retries of the connection included
)

// errPlace is in the chain when Redis is not the one that the node joined.
var errPlace = errors.New("redis has lost or changed its state")

// backoff are pauses that grow while something fails.
type backoff time.Duration

func (b *backoff) wait(ctx context.Context) {
	*b = min(max(2**b, backoff(retryFirst)), backoff(retryMost))
	pause(ctx, time.Duration(*b))
}

// send is the goroutine that brings the Book's ops to Redis.
func (j *Journal) send(ctx context.Context) {
	wake, stop := j.book.Watch()
	defer stop()
	up, ignore := j.c.changed()
	defer ignore()
	var slow backoff
	for ctx.Err() == nil {
		if j.place().joined && j.c.Up() {
			more, err := j.sendSome(ctx)
			if err != nil {
				j.report("sending changes", err)
				slow.wait(ctx)
				continue
			}
			if slow = 0; more {
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-j.turn:
		case <-up:
		}
	}
}

// sendAll sends what waits.
func (j *Journal) sendAll(ctx context.Context) error {
	for {
		if more, err := j.sendSome(ctx); err != nil || !more {
			return err
		}
	}
}

// sendSome sends the oldest ops in one call; more is false when none waited.
func (j *Journal) sendSome(ctx context.Context) (more bool, err error) {
	j.sending.Lock()
	defer j.sending.Unlock()
	// Reading an op that does not fit into the call is work for nothing.
	j.fits = min(max(2*j.fits, 4), sendOps)
	ops, err := j.book.Ops(0, j.fits)
	if err != nil || len(ops) == 0 {
		return false, err
	}
	if ops[0].Kind == decisions.OpList {
		return true, j.try(&ops[0], j.sendList(ctx, &ops[0]))
	}
	if j.failing > 0 { // find the one that Redis does not take
		ops = ops[:1]
	}
	args, batch := []any{}, ops[:0:0]
	size := 0
	for i := range ops {
		if ops[i].Kind == decisions.OpList {
			break
		}
		one, err := encodeOp(&ops[i], ops[i].Seq)
		if err != nil {
			if len(batch) > 0 {
				break
			}
			return true, j.giveUp(&ops[i], err)
		}
		if n := sizeOf(one); len(batch) > 0 && size+n > sendBytes {
			break
		} else {
			size += n
		}
		args, batch = append(args, one...), append(batch, ops[i])
	}
	j.fits = len(batch)
	answers, err := j.runAppend(ctx, args)
	if err == nil && len(answers) != len(batch) {
		err = fmt.Errorf("the script answered for %d of %d changes", len(answers), len(batch))
	}
	if err != nil {
		return true, j.try(&batch[0], err)
	}
	j.failing = 0
	for i, said := range answers {
		if said == "known" {
			j.known.Add(1)
			j.book.Retract(batch[i])
		}
	}
	j.book.Sent(batch[len(batch)-1].Seq)
	j.sent.Add(int64(len(batch)))
	return true, nil
}

// runAppend runs the append script, and returns its answer to each change.
func (j *Journal) runAppend(ctx context.Context, args []any) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	p := j.place()
	head := []any{p.epoch, p.cursor, j.c.o.Node, logEntries}
	v, err := j.appendScript.Run(ctx, j.keys.append(), append(head, args...)...)
	if err != nil {
		return nil, err
	}
	answers, _ := texts(v)
	if len(answers) == 0 {
		return nil, errors.New("the script gave no answer")
	}
	if answers[0] != "ok" {
		j.left(p.epoch)
		return nil, fmt.Errorf("%w (%s)", errPlace, answers[0])
	}
	return answers[1:], nil
}

// left says that Redis is not the one joined any more; the follower joins again.
func (j *Journal) left(epoch string) {
	j.moved(func(p *position) {
		if p.epoch == epoch {
			p.joined = false
		}
	})
}

// try counts errors that are about the change itself, and gives it up after some.
func (j *Journal) try(op *decisions.Op, err error) error {
	if err == nil {
		j.failing = 0
		return nil
	}
	var said redis.Error
	if !errors.As(err, &said) || judge(err) != nil || errors.Is(err, errPlace) {
		return err
	}
	if j.failing++; j.failing < sendTries {
		return err
	}
	return j.giveUp(op, err)
}

// giveUp forgets a change that Redis does not take: it stays in force here.
func (j *Journal) giveUp(op *decisions.Op, err error) error {
	j.failing = 0
	j.dropped.Add(1)
	j.log.Error("a change is not shared with the other nodes: redis does not take it",
		zap.Stringer("kind", op.Kind), zap.Int64("seq", op.Seq), zap.Error(err))
	j.book.Sent(op.Seq)
	return nil
}

// report is the Client's, but that a place lost in the log is nothing to tell.
func (j *Journal) report(what string, err error) {
	if !errors.Is(err, errPlace) {
		j.c.report(what, err)
	}
}

// texts are the texts of a script's answer.
func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		s, isText := list[i].(string)
		ok = ok && isText
		out[i] = s
	}
	return out, ok
}
