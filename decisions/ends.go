package decisions

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"time"
)

const (
	// endBucket has the ends that are remembered; those of decisions that the allowlist
	// suppresses are with the decisions.
	endBucket   = "ends"
	endsLostKey = "ends_lost"
)

// keptDecision is a decision as the database has it.
type keptDecision struct {
	Decision
	// At is when its latest change was, in Unix milliseconds; 0: it was never
	// announced. Told is that of a record that is gone, Echoes are those of another.
	At     int64   `json:"at,omitempty"`
	Told   int64   `json:"told,omitempty"`
	Echoes []int64 `json:"echoes,omitempty"`
}

// kept is the record of r for the database.
func (l *changelog) kept(r *record) keptDecision {
	k := keptDecision{Decision: l.records.decision(r), At: l.at(r), Echoes: l.records.echoes(r)}
	if r.gone {
		k.Told, k.IncidentID, k.Host = r.told, "", "" // nobody asks what led to it
	}
	return k
}

// encode makes the text. A Decision has only texts, numbers and instants within what
// JSON can say.
func (k *keptDecision) encode() []byte {
	value, err := json.Marshal(k)
	if err != nil {
		return nil
	}
	return value
}

// decode reads a text, of before changes had instants too, and returns what the
// decision covers.
func (k *keptDecision) decode(value []byte) (netip.Prefix, error) {
	if err := json.Unmarshal(value, k); err != nil {
		return netip.Prefix{}, err
	}
	if k.At == 0 && !k.Suppressed {
		k.At = k.Created.UnixMilli()
	}
	return normalise(&k.Decision, false)
}

// endKey puts ends in their order.
func endKey(at, id int64) string { return string(be64(at)) + string(be64(id)) }

// loaded are records with something to tell, as they are found on disk.
type loaded struct {
	index *index
	told  []timed
	fresh []*record // ends that are not on disk yet
}

type timed struct {
	at int64
	r  *record
}

func (l *loaded) add(at int64, r *record) { l.told = append(l.told, timed{at, r}) }

// bring makes a record of a decision that is over.
func (l *loaded) bring(k *keptDecision, p netip.Prefix) *record {
	slot, r := l.index.records.take()
	r.slot, r.gone = slot, true
	l.index.pack(r, &k.Decision, p)
	l.add(k.At, r)
	return r
}

// missed takes in a decision whose end came while the process was down, if its
// beginning was announced.
func (l *loaded) missed(k *keptDecision, p netip.Prefix) {
	if k.At == 0 {
		return
	}
	if !k.Suppressed {
		k.At = max(k.At, k.Until.UnixMilli())
	}
	r := l.bring(k, p)
	r.told = r.until
	l.fresh = append(l.fresh, r)
}

// overslept are the ends that came while the process was down.
func (l *loaded) overslept() []*record {
	return slices.DeleteFunc(slices.Clone(l.fresh), func(r *record) bool { return r.suppressed })
}

// note brings all that was found to the change log, in order.
func (l *loaded) note(log *changelog) {
	slices.SortFunc(l.told, func(x, y timed) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.r.id, y.r.id)) })
	for _, t := range l.told {
		log.noteAt(t.r, t.at)
	}
}

// loadEnds reads the ends that were remembered.
func (b *Book) loadEnds(told *loaded) error {
	return b.o.DB.Each(endBucket, "", func(key string, value []byte) error {
		var k keptDecision
		p, err := k.decode(value)
		if err != nil || key != endKey(k.At, k.ID) {
			b.damagedRecord("end of a decision", key, err)
			return nil
		}
		told.bring(&k, p).told = k.Told
		return nil
	})
}

// loadLost reads since when all ends are known, of decisions or lists. Those of before
// they were kept are not.
func (b *Book) loadLost(key string) (int64, error) {
	at, err := loadNumber(b.o.DB, key)
	if err != nil || at != 0 {
		return at, err
	}
	at = b.o.Now().UnixMilli()
	return at, b.o.DB.Put(metaBucket, key, be64(at))
}

// forgetEnds lets old ends go, and those that find no place. The caller holds mu.
func (b *Book) forgetEnds(now time.Time, j *job) {
	begun := b.log.forget(now, func(r *record, at int64) {
		if r.gone && !j.records[r] {
			j.remove(endBucket, endKey(at, r.id))
		}
	})
	if begun {
		j.put(metaBucket, epochKey, be64(b.log.epoch))
		j.put(metaBucket, endsLostKey, be64(b.log.lost))
	}
}
