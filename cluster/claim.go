package cluster

import (
	"time"
)

// looks is how many rounds of watch it takes to look at all shards.
const looks = 4

// watch takes over what others have left behind, and keeps what is this node's, until
// the end of Buckets.
func (x *outbox) watch() {
	tick := time.NewTicker(max(x.after/5, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-x.b.ctx.Done():
			return
		case <-tick.C:
		}
		if !x.b.c.Up() {
			continue
		}
		x.renew()
		x.look()
		x.nudge() // what could not be deleted before
	}
}

// renew keeps others from taking over what the sink takes long for.
func (x *outbox) renew() {
	list := x.old()
	if len(list) == 0 {
		return
	}
	replies := x.tell(list, "renew")
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, r := range replies {
		if r.value == int64(1) {
			list[i].since = time.Now()
		}
	}
}

// old returns what the sink has had for a while, a bounded number, and gives up what
// it has had for too long.
func (x *outbox) old() (list []*spilled) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, it := range x.open {
		switch {
		case it.handed.IsZero():
		case time.Since(it.handed) >= sinkPatience*x.after:
			delete(x.open, id)
			x.b.counts.left.Add(1)
		case time.Since(it.since) >= x.after/2 && len(list) < mostSpills:
			list = append(list, it)
		}
	}
	return list
}

// look claims from a part of the shards. What has failed for once is there in the
// next round, too.
func (x *outbox) look() {
	age := x.after.Microseconds()
	calls := make([]call, shards/looks)
	for i := range calls {
		calls[i] = call{[]string{x.b.keyOf(x.shard, "o")}, []any{age, x.b.owner[:]}}
		x.shard = (x.shard + 1) % shards
	}
	var take []call
	for i, r := range x.claim.RunAll(x.b.ctx, calls) {
		if ids := x.wanted(r); len(ids) > 0 {
			take = append(take, call{calls[i].keys, append(calls[i].args, ids...)})
		}
	}
	if len(take) == 0 {
		return
	}
	for i, r := range x.claim.RunAll(x.b.ctx, take) {
		x.taken(r, take[i].keys[0])
	}
}

// wanted returns the ids, of those listed, that this node can conclude and is not
// concluding already.
func (x *outbox) wanted(r reply) (ids []any) {
	list, _ := r.value.([]any)
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := 0; i+1 < len(list) && len(ids) < together; i += 2 {
		id, _ := list[i].(string)
		about, _ := list[i+1].(string)
		if len(about) != 16+8 || x.open[id] != nil {
			continue
		}
		if x.b.scenario([16]byte([]byte(about[:16]))) == nil {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// taken concludes what was taken over from an outbox.
func (x *outbox) taken(r reply, box string) {
	list, _ := r.value.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		id, _ := list[i].(string)
		text, _ := list[i+1].(string)
		rec, err := decodeRecord([]byte(text))
		if err == nil && (len(id) > mostID || x.b.keyOf(shardOf(&rec.key), "o") != box) {
			err = errRecord
		}
		if err != nil {
			x.counts.damaged.Add(1)
			x.b.complain("a record of an overflow that another node left behind is of no use", err)
			_ = x.b.c.rdb().HDel(x.b.ctx, box, id).Err() // else it is found again
			continue
		}
		x.counts.claimed.Add(1)
		x.put(&spilled{id: id, record: rec, since: time.Now()})
	}
}

// mostID is how long the id of a record may be.
const mostID = 64
