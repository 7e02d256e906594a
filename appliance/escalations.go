package appliance

import (
	"strconv"

	"github.com/rampart-edge/rampart/store"
)

// escalationBucket has the ids of escalated decisions as keys.
const escalationBucket = "escalated"

// escalations are the decisions that the kernel enforces because their clients
// kept sending. They are written down, so that a restart does not let packets in
// again. Not safe for concurrent use.
type escalations struct {
	db  *store.DB
	ids map[int64]struct{}
}

// loadEscalations reads those that are still known, and drops the others.
func loadEscalations(db *store.DB, known func(id int64) bool) (*escalations, error) {
	e := &escalations{db: db, ids: map[int64]struct{}{}}
	var over []string
	err := db.Each(escalationBucket, "", func(key string, _ []byte) error {
		if id, err := strconv.ParseInt(key, 10, 64); err == nil && known(id) {
			e.ids[id] = struct{}{}
		} else {
			over = append(over, key)
		}
		return nil
	})
	if err != nil || len(over) == 0 {
		return e, err
	}
	return e, db.Update(func(tx *store.Tx) error {
		for _, key := range over {
			if err := tx.Delete(escalationBucket, key); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *escalations) has(id int64) bool {
	_, ok := e.ids[id]
	return ok
}

// add escalates decisions; they count even if the disk fails.
func (e *escalations) add(ids []int64) error {
	fresh := ids[:0:0]
	for _, id := range ids {
		if !e.has(id) {
			e.ids[id] = struct{}{}
			fresh = append(fresh, id)
		}
	}
	return e.write(fresh, func(tx *store.Tx, key string) error { return tx.Put(escalationBucket, key, []byte{1}) })
}

// drop forgets decisions that are over.
func (e *escalations) drop(ids []int64) error {
	known := ids[:0:0]
	for _, id := range ids {
		if e.has(id) {
			delete(e.ids, id)
			known = append(known, id)
		}
	}
	return e.write(known, func(tx *store.Tx, key string) error { return tx.Delete(escalationBucket, key) })
}

// write does one thing for each id, in one transaction.
func (e *escalations) write(ids []int64, do func(tx *store.Tx, key string) error) error {
	if len(ids) == 0 {
		return nil
	}
	return e.db.Update(func(tx *store.Tx) error {
		for _, id := range ids {
			if err := do(tx, strconv.FormatInt(id, 10)); err != nil {
				return err
			}
		}
		return nil
	})
}
