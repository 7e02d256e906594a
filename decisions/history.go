package decisions

import (
	"encoding/binary"
	"slices"
	"strings"
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
	times   map[string][]moment // ascending
	queue   []stamp             // all, oldest first, from head on
	head    int
	serial  uint32
	limit   int
	evicted int64
}

// stamp is one decision of the past.
type stamp struct {
	value  string
	at     int64
	serial uint32
	ban    bool
}

// moment is when a decision was made: Unix ms, doubled, plus one for a ban.
type moment int64

func momentOf(at int64, ban bool) moment {
	if ban {
		return moment(at<<1 | 1)
	}
	return moment(at << 1)
}

func (m moment) at() int64 { return int64(m >> 1) }
func (m moment) ban() bool { return m&1 == 1 }

// banMark precedes the value of a ban in the database; no value has it.
const banMark = "\x01"

func newHistory() history { return history{times: map[string][]moment{}, limit: maxHistory} }

// key is the stamp's in the database, in order of time.
func (s *stamp) key() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(s.at))
	binary.BigEndian.PutUint32(b[8:], s.serial)
	return string(b[:])
}

// text is the stamp's value in the database.
func (s *stamp) text() string {
	if s.ban {
		return banMark + s.value
	}
	return s.value
}

func parseStamp(key, value string) (stamp, bool) {
	if len(key) != 12 {
		return stamp{}, false
	}
	value, ban := strings.CutPrefix(value, banMark)
	return stamp{value, int64(binary.BigEndian.Uint64([]byte(key))), binary.BigEndian.Uint32([]byte(key[8:])), ban}, true
}

// add records that a decision was made for value. Times before the newest one are
// taken as that, since the queue is in order.
func (h *history) add(value string, at int64, ban bool) stamp {
	if n := len(h.queue); n > h.head {
		at = max(at, h.queue[n-1].at)
	}
	h.serial++
	s := stamp{value, at, h.serial, ban}
	h.put(s)
	return s
}

func (h *history) put(s stamp) {
	h.serial = max(h.serial, s.serial)
	h.queue = append(h.queue, s)
	list := append(h.times[s.value], momentOf(s.at, s.ban))
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
	case len(list) == 0 || list[0].at() > s.at:
		// Went earlier, above the limit of one value.
	case len(list) == 1:
		delete(h.times, s.value)
	default:
		h.times[s.value] = slices.Delete(list, 0, 1)
	}
}

func (h *history) count(value string, since int64) int {
	list := h.times[value]
	i, _ := slices.BinarySearch(list, momentOf(since, false))
	return len(list) - i
}

// bans counts the bans made in [since, until).
func (h *history) bans(value string, since, until int64) (n int) {
	list := h.times[value]
	i, _ := slices.BinarySearch(list, momentOf(since, false))
	for ; i < len(list) && list[i].at() < until; i++ {
		if list[i].ban() {
			n++
		}
	}
	return n
}
