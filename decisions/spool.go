package decisions

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/rampart-edge/rampart/store"
)

const (
	opBucket   = "ops"
	baseBucket = "bases" // what the fleet has of decisions with an op under way
	sentKey    = "fleet_sent"
	lostKey    = "fleet_lost"

	defaultMaxOps     = 200_000
	defaultMaxOpBytes = 256 << 20
)

// spool are this node's ops from when they are made until they are met in the
// fleet's log, the oldest first. Their texts are on disk, or on the way there; what
// memory has of them are a few numbers each. It has a lock of its own, the last to
// be taken.
type spool struct {
	mu     sync.Mutex
	on     bool
	seq    int64 // the last one given
	sent   int64
	flying int64 // of an allowlist entry that is being written, 0 for none
	queue  []spooled
	count  int // of those in the queue that are not gone
	bytes  int64
	limits ShareOptions
	values pending // texts on the way to the disk

	// decided has what is under way of decisions, allowed the last Seq of an
	// allowlist entry.
	decided map[int64]underway
	allowed map[string]int64 // by Op.AllowKey

	dropped int64
	lost    int64 // when the first one dropped was made, Unix milliseconds; 0: none was
}

// spooled is an op as memory has it.
type spooled struct {
	seq   int64
	at    int64 // Unix milliseconds
	size  int64
	ids   []int64 // decisions that it is about
	alert int64
	allow string // key of the allowlist entry
	gone  bool   // met in the log, or taken back; waits for those before it
}

// underway is what there is of a decision that own ops are about which the log has
// not told yet: the last of them, and what the fleet has meanwhile, nil for nothing.
type underway struct {
	seq  int64
	base *Decision
}

// next gives the next Seq. The caller holds mu.
func (s *spool) next() int64 {
	s.seq++
	return s.seq
}

// put files an op. The caller holds mu; it queues the returned writes, after that
// of the op itself.
func (s *spool) put(sp spooled, bases map[int64]*Decision) (writes []op) {
	i := len(s.queue)
	for i > 0 && s.queue[i-1].seq > sp.seq {
		i-- // one that took its time to be written
	}
	s.queue = slices.Insert(s.queue, i, sp)
	s.bytes += sp.size
	s.count++
	for _, id := range sp.ids {
		u, had := s.decided[id]
		if !had {
			u.base = bases[id]
			writes = appendBase(writes, id, u.base)
		}
		u.seq = max(u.seq, sp.seq)
		s.decided[id] = u
	}
	if sp.allow != "" {
		s.allowed[sp.allow] = max(s.allowed[sp.allow], sp.seq)
	}
	for s.count > 1 && (s.count > s.limits.MaxOps || s.bytes > s.limits.MaxBytes) {
		writes = append(writes, s.drop(s.queue[0].seq)...)
	}
	return writes
}

// appendBase appends the write of a base, if there is one.
func appendBase(writes []op, id int64, base *Decision) []op {
	if base == nil {
		return writes
	}
	if value, err := json.Marshal(base); err == nil {
		writes = append(writes, op{bucket: baseBucket, key: idKey(id), value: value})
	}
	return writes
}

// drop lets an op go without the fleet having heard of it. The caller holds mu.
func (s *spool) drop(seq int64) (writes []op) {
	i, ok := s.find(seq)
	if !ok {
		return nil
	}
	if sp := &s.queue[i]; sp.seq > s.sent {
		s.dropped++
		if s.lost == 0 || sp.at < s.lost {
			s.lost = max(sp.at, 1)
			writes = append(writes, op{bucket: metaBucket, key: lostKey, value: be64(s.lost)})
		}
	}
	return append(writes, s.forget(i)...)
}

// forget takes the op at i off the spool. The caller holds mu.
func (s *spool) forget(i int) (writes []op) {
	sp := &s.queue[i]
	if !sp.gone {
		s.bytes -= sp.size
		s.count--
		writes = append(writes, op{bucket: opBucket, key: idKey(sp.seq)})
		for _, id := range sp.ids {
			if u := s.decided[id]; u.seq == sp.seq {
				writes = append(writes, s.release(id)...)
			}
		}
		if sp.allow != "" && s.allowed[sp.allow] == sp.seq {
			delete(s.allowed, sp.allow)
		}
		*sp = spooled{seq: sp.seq, gone: true}
	}
	n := 0
	for n < len(s.queue) && s.queue[n].gone {
		n++
	}
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return writes
}

// release says that nothing is under way of a decision. The caller holds mu.
func (s *spool) release(id int64) (writes []op) {
	if s.decided[id].base != nil {
		writes = append(writes, op{bucket: baseBucket, key: idKey(id)})
	}
	delete(s.decided, id)
	return writes
}

// rebase says what the fleet has of a decision with own ops under way. The caller
// holds mu.
func (s *spool) rebase(id int64, base *Decision) (writes []op) {
	u := s.decided[id]
	if base == nil && u.base != nil {
		writes = append(writes, op{bucket: baseBucket, key: idKey(id)})
	}
	u.base = base
	s.decided[id] = u
	return appendBase(writes, id, base)
}

// find returns the place of the op with a Seq. The caller holds mu.
func (s *spool) find(seq int64) (i int, ok bool) {
	i = sort.Search(len(s.queue), func(i int) bool { return s.queue[i].seq >= seq })
	return i, i < len(s.queue) && s.queue[i].seq == seq && !s.queue[i].gone
}

// after returns the Seqs of up to limit ops that were not sent, behind one. The
// caller holds mu.
func (s *spool) after(seq int64, limit int) (out []int64) {
	seq = max(seq, s.sent)
	i := sort.Search(len(s.queue), func(i int) bool { return s.queue[i].seq > seq })
	for ; i < len(s.queue) && (limit <= 0 || len(out) < limit); i++ {
		if s.flying != 0 && s.queue[i].seq > s.flying {
			break // it comes first
		}
		if !s.queue[i].gone {
			out = append(out, s.queue[i].seq)
		}
	}
	return out
}

// clear forgets what a run left that did not get as far as being one of a fleet.
func (s *spool) clear(db *store.DB) error {
	s.queue, s.count, s.bytes, s.sent, s.lost = nil, 0, 0, 0, 0
	s.decided, s.allowed = map[int64]underway{}, map[string]int64{}
	for _, bucket := range []string{opBucket, baseBucket} {
		var gone []op
		err := db.Each(bucket, "", func(key string, _ []byte) error {
			gone = append(gone, op{bucket: bucket, key: key})
			return nil
		})
		if err == nil && len(gone) > 0 {
			err = write(db, gone...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads what an earlier run left. Ops that cannot be understood are told to
// damaged and left alone. It queues the returned writes.
func (s *spool) load(db *store.DB, damaged func(kind, key string, err error)) (writes []op, err error) {
	s.decided, s.allowed = map[int64]underway{}, map[string]int64{}
	err = db.Each(opBucket, "", func(key string, value []byte) error {
		var o Op
		if err := json.Unmarshal(value, &o); err != nil || key != idKey(o.Seq) {
			damaged("op", key, err)
			return nil
		}
		s.seq = max(s.seq, o.Seq)
		writes = append(writes, s.put(o.spooled(int64(len(value))), nil)...)
		return nil
	})
	if err == nil {
		err = db.Each(baseBucket, "", func(key string, value []byte) error {
			var d Decision
			if err := json.Unmarshal(value, &d); err != nil || key != idKey(d.ID) {
				damaged("what the fleet has of a decision", key, err)
				return nil
			}
			if u, ok := s.decided[d.ID]; ok {
				u.base = &d
				s.decided[d.ID] = u
			}
			return nil
		})
	}
	for _, f := range []struct {
		key string
		to  *int64
	}{{sentKey, &s.sent}, {lostKey, &s.lost}} {
		if err == nil {
			*f.to, err = loadNumber(db, f.key)
		}
	}
	return writes, err
}

// alerts are those that ops under way are about.
func (s *spool) alerts() map[int64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[int64]bool{}
	for i := range s.queue {
		if sp := &s.queue[i]; sp.alert != 0 {
			out[sp.alert] = true
		}
	}
	return out
}

// loadNumber reads a number of the meta bucket, 0 where there is none.
func loadNumber(db *store.DB, key string) (int64, error) {
	v, err := db.Get(metaBucket, key)
	if err != nil || v == nil {
		return 0, err
	}
	return parse64(key, v)
}

// spooled is what memory keeps of an op of so many bytes.
func (op *Op) spooled(size int64) spooled {
	sp := spooled{seq: op.Seq, at: op.At.UnixMilli(), size: size, ids: op.IDs, allow: op.AllowKey()}
	if op.Alert != nil {
		sp.alert = op.Alert.ID
	}
	for i := range op.Decisions {
		sp.ids = append(sp.ids, op.Decisions[i].ID)
	}
	return sp
}

// firstSeq is where the Seqs of a run begin. Time goes on while a node is down,
// also one whose database is an old copy, so no Seq is used twice.
func firstSeq(now time.Time, last int64) int64 { return max(last, now.UnixMicro()) }

// loadOp reads the op with a Seq from where it is.
func (s *spool) loadOp(db *store.DB, seq int64) (o Op, ok bool, err error) {
	value := s.values.get(seq)
	if value == nil {
		if value, err = db.Get(opBucket, idKey(seq)); err != nil || value == nil {
			return o, false, err
		}
	}
	if err := json.Unmarshal(value, &o); err != nil {
		return o, false, fmt.Errorf("reading op %d: %w", seq, err)
	}
	return o, true, nil
}
