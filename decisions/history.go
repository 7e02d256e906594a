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
// counted. It holds no pointers: the entries of a value are connected, the newest
// first, by their place in the queue.
type history struct {
	values  map[key]recent
	queue   []stamp // all, oldest first, from head on
	head    int
	base    int64 // place of queue[0], from 1
	serial  uint32
	limit   int
	evicted int64
}

// recent is what there is of a value.
type recent struct {
	newest int64 // its place
	count  int   // of entries in the queue; the last maxHistoryValue of them count
}

// stamp is one decision of the past.
type stamp struct {
	key    key
	at     int64 // Unix milliseconds
	before int64 // place of the one of the same value before it; it may be gone
	serial uint32
	ban    bool
}

// banMark precedes the value of a ban in the database; no value has it.
const banMark = "\x01"

func newHistory() history { return history{values: map[key]recent{}, base: 1, limit: maxHistory} }

// dbKey is the stamp's in the database, in order of time.
func (s *stamp) dbKey() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(s.at))
	binary.BigEndian.PutUint32(b[8:], s.serial)
	return string(b[:])
}

// stampText is what the database has of a stamp for a value.
func stampText(value string, ban bool) []byte {
	if ban {
		value = banMark + value
	}
	return []byte(value)
}

// parseStamp reads what dbKey and stampText write; the stamp gets its key from who
// knows the value.
func parseStamp(key, text string) (s stamp, value string, ok bool) {
	if len(key) != 12 {
		return stamp{}, "", false
	}
	value, ban := strings.CutPrefix(text, banMark)
	return stamp{at: int64(binary.BigEndian.Uint64([]byte(key))), serial: binary.BigEndian.Uint32([]byte(key[8:])), ban: ban}, value, true
}

// add records that a decision was made for a value. Times before the newest one
// are taken as that, since the queue is in order.
func (h *history) add(k key, at int64, ban bool) stamp {
	if n := len(h.queue); n > h.head {
		at = max(at, h.queue[n-1].at)
	}
	h.serial++
	s := stamp{key: k, at: at, serial: h.serial, ban: ban}
	h.put(s)
	return s
}

func (h *history) put(s stamp) {
	h.serial = max(h.serial, s.serial)
	v := h.values[s.key]
	s.before = v.newest
	v.newest = h.base + int64(len(h.queue))
	if v.count++; v.count > maxHistoryValue {
		h.evicted++
	}
	h.values[s.key] = v
	h.queue = append(h.queue, s)
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
		h.head++
		h.forget(s.key)
		out = append(out, s)
	}
	if h.head > 1024 && h.head > len(h.queue)/2 {
		h.base += int64(h.head)
		h.queue = slices.Clone(h.queue[h.head:])
		h.head = 0
	}
	return out
}

// take takes back the first entry of a value from an instant on. Its place in the
// queue stays, of no value.
func (h *history) take(k key, at int64) (taken stamp, ok bool) {
	v := h.values[k]
	var found, newer int64 // places
	place, above := v.newest, int64(0)
	for range min(v.count, maxHistoryValue) {
		s := &h.queue[place-h.base]
		if s.at < at {
			break
		}
		found, newer = place, above
		place, above = s.before, place
	}
	if found == 0 {
		return stamp{}, false
	}
	s := &h.queue[found-h.base]
	taken = *s
	if newer == 0 {
		v.newest = s.before
	} else {
		h.queue[newer-h.base].before = s.before
	}
	h.values[k] = v
	h.forget(k)
	s.key = key{}
	return taken, true
}

func (h *history) forget(k key) {
	v, ok := h.values[k]
	if !ok {
		return // it was taken back
	}
	if v.count--; v.count == 0 {
		delete(h.values, k)
	} else {
		h.values[k] = v
	}
}

// each calls fn with the entries of a value, the newest first, until it returns
// false.
func (h *history) each(k key, fn func(*stamp) bool) {
	v := h.values[k]
	at := v.newest
	for range min(v.count, maxHistoryValue) {
		s := &h.queue[at-h.base]
		if !fn(s) {
			return
		}
		at = s.before
	}
}

func (h *history) count(k key, since int64) (n int) {
	h.each(k, func(s *stamp) bool {
		if s.at < since {
			return false
		}
		n++
		return true
	})
	return n
}

// bans counts the bans made in [since, until).
func (h *history) bans(k key, since, until int64) (n int) {
	h.each(k, func(s *stamp) bool {
		if s.at < since {
			return false
		}
		if s.ban && s.at < until {
			n++
		}
		return true
	})
	return n
}
