package community

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/rampart-edge/rampart/store"
)

const (
	signalBucket = "signals"
	// maxQueued and maxQueuedBytes bound what waits on disk; the oldest go first.
	maxQueued      = 10_000
	maxQueuedBytes = 32 << 20
	// maxSignal bounds one signal, in bytes.
	maxSignal = 256 << 10
)

// errEnough ends a reading early; nobody else sees it.
var errEnough = errors.New("enough")

// queued is a signal that waits.
type queued struct {
	key  string
	body []byte // JSON, as it is sent
}

// queue are the signals that wait on disk, oldest first. It is safe for concurrent use.
type queue struct {
	db *store.DB

	mu      sync.Mutex
	sizes   map[uint64]int32 // by number
	bytes   int64
	first   uint64 // number of the oldest; numbers may be missing
	next    uint64
	dropped int64
}

func openQueue(db *store.DB) (*queue, error) {
	q := &queue{db: db, sizes: map[uint64]int32{}}
	err := db.Each(signalBucket, "", func(key string, value []byte) error {
		n, err := strconv.ParseUint(key, 16, 64)
		if err != nil {
			return nil // not ours
		}
		if len(q.sizes) == 0 {
			q.first = n
		}
		q.note(n, len(value))
		q.next = n + 1
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the signals that wait: %w", err)
	}
	return q, nil
}

func (q *queue) note(n uint64, size int) {
	q.sizes[n] = int32(size)
	q.bytes += int64(size)
}

func queueKey(n uint64) string { return fmt.Sprintf("%016x", n) }

// add puts signals behind the others, as one step: all are on disk when it returns, or
// none. What has no place any more goes, the oldest first, and is counted.
func (q *queue) add(bodies [][]byte) error {
	if len(bodies) == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if extra := len(bodies) - maxQueued; extra > 0 {
		q.dropped += int64(extra)
		bodies = bodies[extra:]
	}
	gone := q.displaced(bodies)
	err := q.db.Update(func(tx *store.Tx) error {
		for _, n := range gone {
			if err := tx.Delete(signalBucket, queueKey(n)); err != nil {
				return err
			}
		}
		for i, body := range bodies {
			if err := tx.Put(signalBucket, queueKey(q.next+uint64(i)), body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keeping signals: %w", err)
	}
	q.forget(gone)
	q.dropped += int64(len(gone))
	for _, body := range bodies {
		q.note(q.next, len(body))
		q.next++
	}
	return nil
}

// displaced are the numbers that must go for bodies to fit.
func (q *queue) displaced(bodies [][]byte) []uint64 {
	count, bytes := len(q.sizes)+len(bodies), q.bytes
	for _, b := range bodies {
		bytes += int64(len(b))
	}
	var gone []uint64
	for n := q.first; n < q.next && (count > maxQueued || bytes > maxQueuedBytes); n++ {
		if size, ok := q.sizes[n]; ok {
			gone = append(gone, n)
			count--
			bytes -= int64(size)
		}
	}
	return gone
}

// forget drops numbers from memory. q.mu is held.
func (q *queue) forget(gone []uint64) {
	for _, n := range gone {
		q.bytes -= int64(q.sizes[n])
		delete(q.sizes, n)
	}
	for q.first < q.next {
		if _, ok := q.sizes[q.first]; ok {
			break
		}
		q.first++
	}
}

// peek returns the oldest signals, up to limit and some bytes, one at least if there is
// one.
func (q *queue) peek(limit int, bytes int64) ([]queued, error) {
	var out []queued
	err := q.db.Each(signalBucket, "", func(key string, value []byte) error {
		bytes -= int64(len(value))
		if len(out) >= limit || bytes < 0 && len(out) > 0 {
			return errEnough
		}
		out = append(out, queued{key, append([]byte{}, value...)})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading the signals that wait: %w", err)
	}
	return out, nil
}

// remove forgets signals that are done with.
func (q *queue) remove(done []queued) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.db.Update(func(tx *store.Tx) error {
		for _, s := range done {
			if err := tx.Delete(signalBucket, s.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forgetting signals that were sent: %w", err)
	}
	gone := make([]uint64, 0, len(done))
	for _, s := range done {
		if n, err := strconv.ParseUint(s.key, 16, 64); err == nil {
			gone = append(gone, n)
		}
	}
	q.forget(gone)
	return nil
}

// size tells how many wait, their bytes, and how many had to go.
func (q *queue) size() (n int, bytes, dropped int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sizes), q.bytes, q.dropped
}
