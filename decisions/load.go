package decisions

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	epochKey    = "epoch"
	damagedText = "record of the journal not understood, left alone"
)

// load fills an empty book from the database and starts its writer.
func (b *Book) load() error {
	var err error
	if b.decision, err = loadCounter(b.o.DB, "next_decision"); err == nil {
		b.alert, err = loadCounter(b.o.DB, "next_alert")
	}
	if err == nil {
		err = b.loadEpoch()
	}
	if err == nil {
		err = b.loadFleet()
	}
	now := b.o.Now()
	j := newJob(0)
	if err == nil {
		err = b.loadAllow()
	}
	if err == nil {
		err = b.loadHistory()
	}
	if err == nil {
		err = b.loadAlerts()
	}
	told := loaded{index: b.index}
	if err == nil {
		err = b.loadEnds(&told)
	}
	if err == nil {
		err = b.loadDecisions(now, j, &told)
	}
	if err == nil {
		err = b.loadLists(now, j)
	}
	if err != nil {
		b.o.Allow.detach(b)
		return fmt.Errorf("loading the journal: %w", err)
	}
	b.disk = newWriter(b.o.DB, b.o.Logger)
	if err := b.enter(1, true); err != nil {
		b.o.Allow.detach(b)
		_ = b.disk.close()
		return fmt.Errorf("loading the journal: %w", err)
	}
	defer b.write.Unlock()
	b.alerts.settle()
	told.note(&b.log)
	j.ended = told.overslept()
	b.tidy(now, j)
	for _, r := range slices.Concat(told.fresh, j.again) {
		j.store(&b.log, r)
	}
	b.enforce(j.order)
	b.useTurns(b.overTurns()) // on disk before the lists are gone from there
	b.disk.add(j.ops...)
	return nil
}

func (b *Book) loadEpoch() error {
	v, err := b.o.DB.Get(metaBucket, epochKey)
	if err != nil {
		return err
	}
	if b.log.lost, err = b.loadLost(endsLostKey); err != nil {
		return err
	}
	epoch := int64(1)
	if len(v) == 8 {
		epoch = int64(binary.BigEndian.Uint64(v)) + 1
	}
	b.log.begin(epoch)
	return b.o.DB.Put(metaBucket, epochKey, be64(epoch))
}

func (b *Book) loadFleet() error {
	v, err := b.o.DB.Get(metaBucket, fleetKey)
	b.fleet.member.Store(v != nil)
	if err == nil && v != nil {
		err = b.fleet.moved.load(b.o.DB)
	}
	if err == nil {
		v, err = b.o.DB.Get(metaBucket, positionKey)
		b.fleet.epoch, b.fleet.cursor, _ = strings.Cut(string(v), "\n")
	}
	return err
}

func (b *Book) loadHistory() error {
	return b.o.DB.Each(historyBucket, "", func(key string, value []byte) error {
		s, of, ok := parseStamp(key, string(value))
		if !ok {
			b.damagedRecord("history", key, nil)
			return nil
		}
		s.key = b.index.keys.of(of)
		b.history.put(s)
		return nil
	})
}

func (b *Book) loadAlerts() error {
	return b.o.DB.Each(alertBucket, "", func(key string, value []byte) error {
		head, err := decodeAlertHead(value)
		if err != nil || key != idKey(head.ID) {
			b.damagedRecord("alert", key, err)
			return nil
		}
		b.alert.after(head.ID)
		b.met(0, head.ID)
		b.alerts.add(&head, 0)
		return nil
	})
}

// loadDecisions also queues the removal of what ended while nobody looked. What there
// is to tell goes to told.
func (b *Book) loadDecisions(now time.Time, j *job, told *loaded) error {
	return b.o.DB.Each(decisionBucket, "", func(key string, value []byte) error {
		var k keptDecision
		p, err := k.decode(value)
		if err != nil || key != idKey(k.ID) {
			b.damagedRecord("decision", key, err)
			return nil
		}
		b.decision.after(k.ID)
		b.met(k.ID, k.AlertID)
		if !k.Until.After(now) {
			j.remove(decisionBucket, key)
			told.missed(&k, p)
			return nil
		}
		// The allowlist may have changed since.
		was := k.Suppressed
		k.Suppressed = p.IsValid() && b.o.Allow.Covers(p)
		r := b.index.add(&k.Decision, p)
		b.alerts.hold(r.alertID)
		b.schedule(r, k.Echoes)
		if k.Suppressed != was {
			k.At = now.UnixMilli()
			j.again = append(j.again, r)
		}
		if k.At != 0 {
			told.add(k.At, r)
		}
		j.changed(r)
		return nil
	})
}

func (b *Book) damagedRecord(kind, key string, err error) {
	b.damaged.Add(1)
	b.o.Logger.Warn(damagedText, zap.String("kind", kind), zap.Binary("key", []byte(key)), zap.Error(err))
}
