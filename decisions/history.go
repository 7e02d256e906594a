package decisions

import (
	"encoding/binary"
	"slices"
)

const (
	historyDays     = 7
	maxHistory      = 1_000_000 // entries in all
	maxHistoryValue = 1_000     // and of one value
)

// history remembers when decisions were made for a value, also after they ended,
// so that repeat offenders can be told. It is bounded; what goes too early is
// counted.
type history struct {
	times   map[string][]int64 // Unix ms, ascending
	queue   []stamp            // all, oldest first, from head on
	head    int
	serial  uint32
	limit   int
	evicted int64
}

type stamp struct {
	value  string
	at     int64
	serial uint32
}

func newHistory() history { return history{times: map[string][]int64{}, limit: maxHistory} }

// key is the stamp's in the database, in order of time.
func (s *stamp) key() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(s.at))
	binary.BigEndian.PutUint32(b[8:], s.serial)
	return string(b[:])
}

func parseStamp(key, value string) (stamp, bool) {
	if len(key) != 12 {
		return stamp{}, false
	}
	return stamp{value, int64(binary.BigEndian.Uint64([]byte(key))), binary.BigEndian.Uint32([]byte(key[8:]))}, true
}

// add records that a decision was made for value. Times before the newest one are
// taken as that, since the queue is in order.
func (h *history) add(value string, at int64) stamp {
	if n := len(h.queue); n > h.head {
		at = max(at, h.queue[n-1].at)
	}
	h.serial++
	s := stamp{value, at, h.serial}
	h.put(s)
	return s
}

func (h *history) put(s stamp) {
	h.serial = max(h.serial, s.serial)
	h.queue = append(h.queue, s)
	list := append(h.times[s.value], s.at)
	if len(list) > maxHistoryValue {
		list = slices.Delete(list, 0, 1)
		h.evicted++
	}
	h.times[s.value] = list
}

// trim forgets what is older than since, and the oldest above the limit; it
// returns what went.
func (h *history) trim(since int64) []stamp {
	var out []stamp
	for h.head < len(h.queue) {
		s := h.queue[h.head]
		if s.at >= since {
			if len(h.queue)-h.head <= h.limit {
				break
			}
			h.evicted++
		}
		h.queue[h.head] = stamp{}
		h.head++
		h.forget(s)
		out = append(out, s)
	}
	if h.head > 1024 && h.head > len(h.queue)/2 {
		h.queue = slices.Clone(h.queue[h.head:])
		h.head = 0
	}
	return out
}

func (h *history) forget(s stamp) {
	list := h.times[s.value]
	switch {
	case len(list) == 0 || list[0] > s.at:
		// Went earlier, above the limit of one value.
	case len(list) == 1:
		delete(h.times, s.value)
	default:
		h.times[s.value] = slices.Delete(list, 0, 1)
	}
}

func (h *history) count(value string, since int64) int {
	list := h.times[value]
	i, _ := slices.BinarySearch(list, since)
	return len(list) - i
}
