package cluster

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const (
	retryMin = 20 * time.Millisecond
	retryMax = time.Second
	// patience is how long a call is made again and again while the rest of Redis can
	// be used, as it happens to a slot that moves, or that two servers disagree about.
	patience = 5 * time.Second
	// awayFor is how long the shard of such a call is left alone then: its pours go to
	// the node's own memory, and the others need not wait behind them.
	awayFor = 10 * time.Second
)

// send pours the buckets whose first heads are given, round by round.
func (g *group) send(c *chunk, buckets []int32) {
	clustered := g.b.c.clustered()
	if clustered && len(g.away) > 0 {
		buckets = slices.DeleteFunc(buckets, func(head int32) bool { return g.leave(c, head) })
	}
	if len(buckets) == 0 {
		return
	}
	g.mail.sort(c, buckets, clustered)
	for {
		round := g.mail.round(g, c)
		if len(round) == 0 {
			return
		}
		g.deliver(c, round)
	}
}

// leave gives the pours of a bucket to the node's own memory if its shard is away.
func (g *group) leave(c *chunk, head int32) bool {
	shard := shardOf(&c.parcels[head].key)
	until, away := g.away[shard]
	if !away {
		return false
	}
	if time.Now().After(until) {
		delete(g.away, shard)
		return false
	}
	for ; head >= 0; head = c.parcels[head].follower {
		g.untake(c, head)
	}
	return true
}

// deliver makes the calls, again and again while it is not known whether they ran:
// the script knows a call that comes a second time. When Redis is given up, the pours
// go to the node's own memory.
func (g *group) deliver(c *chunk, round []*pourCall) {
	todo, begin := slices.Clone(round), time.Now()
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		var err error
		if todo, err = g.attempt(c, todo); len(todo) == 0 {
			return
		}
		if time.Since(begin) > patience {
			g.b.complain("a part of redis does not take what is poured: this node counts by itself there", err)
			for _, one := range todo {
				g.away[shardOf(&c.parcels[one.items[0]].key)] = time.Now().Add(awayFor)
			}
			break
		}
		if !g.b.c.Up() || !g.b.pause(wait) {
			break
		}
		g.b.counts.retried.Add(int64(len(todo)))
	}
	for _, one := range todo {
		for _, head := range one.items {
			g.untake(c, head)
		}
	}
}

// attempt makes the calls once and returns those of which it is not known whether
// they ran, with an error of theirs.
func (g *group) attempt(c *chunk, todo []*pourCall) (left []*pourCall, last error) {
	calls := make([]call, len(todo))
	for i, one := range todo {
		one.stamp(g.b.o.Now(), g.b.o.absolute)
		calls[i] = one.call
	}
	g.b.counts.calls.Add(int64(len(calls)))
	g.flight.Lock()
	defer g.flight.Unlock()
	for i, r := range g.pour.RunAll(g.b.ctx, calls) {
		switch {
		case r.err == nil:
			g.answered(c, todo[i], r.value)
		case uncertain(r.err):
			left, last = append(left, todo[i]), r.err
		default:
			g.b.counts.failed.Add(int64(len(todo[i].items)))
			g.b.complain("a call for shared buckets failed: its pours are lost", r.err)
		}
	}
	return left, last
}

// settle waits until the calls that are under way now have been dealt with: the
// samples of what Redis knows are evidence then.
func (b *Buckets) settle() {
	for _, g := range b.groups {
		g.flight.Lock()
		g.flight.Unlock() //nolint:staticcheck // waiting is all that is wanted
	}
}

// uncertain reports whether a call with this error may be made again: nobody knows
// that it ran, or it is known that it did not. A script that failed half-way is not
// run again.
func uncertain(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) || judge(err) != nil {
		return true
	}
	for _, word := range [...]string{"TRYAGAIN", "MOVED", "ASK", "NOSCRIPT"} {
		if strings.HasPrefix(said.Error(), word) {
			return true
		}
	}
	return false
}

// untake gives the pours of a parcel to the node's own memory.
func (g *group) untake(c *chunk, head int32) {
	for n := head; n >= 0; n = c.parcels[n].next {
		g.b.untake(c, &c.parcels[n])
	}
}

// pause waits; false: Buckets end.
func (b *Buckets) pause(d time.Duration) bool {
	select {
	case <-b.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// complain logs an error that concerns no single request, once a minute at most.
func (b *Buckets) complain(text string, err error) {
	now := b.o.Now().UnixNano()
	if last := b.complained.Load(); now-last >= int64(time.Minute) && b.complained.CompareAndSwap(last, now) {
		b.log.Warn(text, zap.Error(err))
	}
}
