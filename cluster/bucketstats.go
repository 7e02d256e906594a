package cluster

import "sync/atomic"

// BucketStats are the figures of Buckets. Waiting and the bytes are of now, all
// others count since they were made.
type BucketStats struct {
	Waiting     int64 `json:"waiting"`      // pours that wait to be sent
	SampleBytes int64 `json:"sample_bytes"` // of shared buckets, on this node

	Dropped         int64 `json:"dropped"`          // pours that found the queue full
	Refused         int64 `json:"refused"`          // pours that cannot be shared
	Merged          int64 `json:"merged"`           // pours that went as one with an equal one
	Untaken         int64 `json:"untaken"`          // pours that waited when Redis was given up, now in the node's own memory
	Failed          int64 `json:"failed"`           // pours lost to a script that failed
	Calls           int64 `json:"calls"`            // of the script that pours
	Retried         int64 `json:"retried"`          // calls made again
	Poured          int64 `json:"poured"`           // events that counted
	Discarded       int64 `json:"discarded"`        // the distinct value was known
	Cancelled       int64 `json:"cancelled"`        // cancel_on emptied the bucket, or there was none
	Expired         int64 `json:"expired"`          // buckets that were idle for their life, as far as an event came later
	Overflowed      int64 `json:"overflowed"`       // handed on by this node
	Blackholed      int64 `json:"blackholed"`       // overflows within a blackhole
	Filtered        int64 `json:"filtered"`         // overflows that overflow_filter turned down
	Left            int64 `json:"left"`             // overflows left in the outbox for later
	Forgotten       int64 `json:"forgotten"`        // overflows that found the outbox full
	Broken          int64 `json:"broken"`           // states in Redis that were damaged: the buckets began anew
	Cleared         int64 `json:"cleared"`          // buckets of the node's own memory that gave way to shared ones
	Contended       int64 `json:"contended"`        // pours that other nodes were always ahead of, now in the node's own memory
	Claimed         int64 `json:"claimed"`          // overflows taken over from other nodes
	Late            int64 `json:"late"`             // overflows that another node took over from this one
	Unknown         int64 `json:"unknown"`          // overflows of scenarios that the rules in force do not have, left to others
	Damaged         int64 `json:"damaged"`          // records and messages that cannot be read
	Collected       int64 `json:"collected"`        // samples that other nodes sent
	CollectTimeouts int64 `json:"collect_timeouts"` // times that not all nodes that were asked answered in time
	Answered        int64 `json:"answered"`         // questions of other nodes

	Scripts []ScriptStats `json:"scripts"`
}

type bucketCounts struct {
	dropped, refused, merged, untaken, failed, calls, retried, poured, discarded, cancelled, expired,
	overflowed, blackholed, filtered, left, forgotten, broken, cleared atomic.Int64
}

func (n *bucketCounts) note(r *pourReply) {
	for _, it := range [...]struct {
		to  *atomic.Int64
		add uint32
	}{
		{&n.expired, r.expired}, {&n.poured, r.poured}, {&n.discarded, r.discarded}, {&n.cancelled, r.cancelled},
		{&n.blackholed, r.blackholed}, {&n.broken, r.broken}, {&n.forgotten, r.forgotten},
	} {
		if it.add > 0 {
			it.to.Add(int64(it.add))
		}
	}
}

// Stats returns the figures.
func (b *Buckets) Stats() BucketStats {
	n := &b.counts
	s := BucketStats{
		SampleBytes: b.evidence.Bytes(), Dropped: n.dropped.Load(), Refused: n.refused.Load(), Merged: n.merged.Load(),
		Untaken: n.untaken.Load(), Failed: n.failed.Load(), Calls: n.calls.Load(), Retried: n.retried.Load(),
		Poured: n.poured.Load(), Discarded: n.discarded.Load(), Cancelled: n.cancelled.Load(), Expired: n.expired.Load(),
		Overflowed: n.overflowed.Load(), Blackholed: n.blackholed.Load(), Filtered: n.filtered.Load(), Left: n.left.Load(),
		Forgotten: n.forgotten.Load(), Broken: n.broken.Load(), Cleared: n.cleared.Load(), Scripts: b.c.Scripts(),
	}
	b.outbox.stats(&s)
	for _, g := range b.groups {
		s.Waiting += int64(g.waiting())
	}
	return s
}
