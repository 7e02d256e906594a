package appliance

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/scenarios"
)

const (
	// fleetSecretKey has the secret that the fleet had when it was last heard of.
	fleetSecretKey = "fleet_secret"
	// secretEvery is how often the secret is looked at: Redis may have been emptied.
	secretEvery = 10 * time.Second
	// secretTimeout bounds one look.
	secretTimeout = 2 * time.Second
)

// fleet is the node's part in a fleet: what it shares with other nodes through Redis.
// It asks nothing of Redis before the node has started, nor after that while a
// request waits.
type fleet struct {
	st      *state
	config  StorageConfig
	id      string // 16 hex digits, of this data directory
	name    string // shown to people
	log     *zap.Logger
	client  *cluster.Client
	journal *cluster.Journal
	burns   *cluster.Burns
	tables  *cluster.Tables   // of who may use the Local API
	remote  *scenarios.Remote // its names of buckets are used when the fleet's secret is known
	// closing: nobody takes overflows from the queue any more.
	closing atomic.Bool
	// trouble is why the secret could not be had.
	trouble atomic.Pointer[string]
	away    atomic.Int64 // ns without Redis
}

// openFleet makes the node one of a fleet. It does not wait for Redis.
func openFleet(st *state, s *Settings) (*fleet, error) {
	id, err := st.db.Secret("node id", 8)
	if err != nil {
		return nil, fmt.Errorf("reading the node's id: %w", err)
	}
	f := &fleet{st: st, config: s.config.Storage, id: hex.EncodeToString(id), name: s.config.fleetName(), log: s.log.Named("fleet"),
		remote: scenarios.NewRemote(scenarios.RemoteOptions{})}
	o := cluster.Options{Config: s.redis, Node: f.id, Name: f.name, Version: version(), Logger: f.log, Now: time.Now}
	if st.owner.tune != nil {
		st.owner.tune(&o)
	}
	if f.client, err = cluster.Open(o); err != nil {
		return nil, fmt.Errorf("storage %w", err)
	}
	l := s.config.Limits
	f.journal, err = cluster.NewJournal(f.client, cluster.JournalOptions{Book: st.book, Logger: f.log, Now: time.Now,
		Wake: st.wall.look, MaxDecisions: l.Decisions, MaxAlerts: l.Alerts, AlertAge: time.Duration(l.AlertAge)})
	if err != nil {
		return nil, errors.Join(err, f.client.Close())
	}
	if f.tables, err = cluster.OpenTables(f.client, cluster.TablesOptions{DB: st.db, Now: time.Now}); err != nil {
		return nil, errors.Join(err, f.journal.Close(context.Background()), f.client.Close())
	}
	f.burns = cluster.NewBurns(f.client, st.spent)
	return f, nil
}

// fleetName is what people know the node by.
func (c Config) fleetName() string {
	if c.Node != defaultNode {
		return c.Node
	}
	host, _ := os.Hostname() // without a name of its own the node's will do
	return cmp.Or(host, c.Node)
}

// version is that of this program, as far as it was built from a module.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(b.Deps, &b.Main) {
			if m.Path == "github.com/rampart-edge/rampart" {
				return m.Version
			}
		}
	}
	return ""
}

// start shares buckets if the fleet's secret is known from before. Nothing is poured
// into Redis under names that only this node gives.
func (f *fleet) start() {
	if f.st.joined {
		f.share(f.st.secret)
	}
}

// share names shared buckets with the fleet's secret, and begins with them if need be.
func (f *fleet) share(secret []byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("bucket names"))
	f.remote.Rekey(h.Sum(nil))
	if f.st.buckets.shared.Load() != nil {
		return
	}
	f.st.buckets.share(cluster.NewBuckets(f.client, cluster.BucketOptions{Local: f.st.buckets.Memory, Remote: f.remote,
		Overflow: f.overflow, FlushEvery: time.Duration(f.config.Flush), Batch: f.config.Batch,
		SampleBytes: f.st.limits.SampleBytes, Logger: f.log, Now: time.Now}))
}

// run keeps the secret in line with the fleet's, and the time without Redis.
func (f *fleet) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	last := time.Now()
	var due time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if !f.client.Up() {
			f.away.Add(int64(now.Sub(last)))
			due = time.Time{} // it may be another Redis that comes back
		} else if !now.Before(due) {
			f.tell(f.refresh(ctx))
			due = now.Add(secretEvery)
		}
		last = now
	}
}

// refresh takes over the fleet's secrets if they are others. Who was there first
// has given it; a node that comes to an empty Redis offers the one it knows.
func (f *fleet) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	secret, err := f.client.Secret(ctx, "node", f.st.secretInForce())
	if err != nil {
		return err
	}
	if err := f.st.owner.exchange(f.st, secret); err != nil {
		return err
	}
	secret, err = f.client.Secret(ctx, tokenSecret, *f.st.api.token.Load())
	if err != nil {
		return err
	}
	return f.st.api.exchange(secret)
}

// tell notes what is wrong with the secret, and logs it once.
func (f *fleet) tell(err error) {
	if err == nil {
		f.trouble.Store(nil)
		return
	}
	text := err.Error()
	if was := f.trouble.Swap(&text); (was == nil || *was != text) && f.client.Up() {
		f.log.Error("sharing the fleet's secret; trying again", zap.Error(err))
	}
}

// overflow takes the overflow of a shared bucket from a goroutine that has more to
// do. What finds no room stays in Redis, where this node or another one takes it up
// some seconds later.
func (f *fleet) overflow(o *scenarios.Overflow, done func(recorded bool)) {
	l := f.st.owner.live.Load()
	switch {
	case l == nil:
		done(false)
	case !f.closing.Load():
		f.st.queue.offer(finished{live: l, over: []*scenarios.Overflow{o}, done: done})
	case f.st.book.Ready() && !l.settings.remote:
		f.st.queue.conclude([]finished{{live: l, over: []*scenarios.Overflow{o}, done: done}})
	default:
		done(false)
	}
}

// close ends in the order in which data flows: buckets, challenges, journal, and the
// connection. The context bounds how long what is under way is waited for; the rest is
// kept on disk or in Redis.
func (f *fleet) close(ctx context.Context) error {
	var errs []error
	if b := f.st.buckets.shared.Load(); b != nil {
		if f.client.Up() {
			errs = append(errs, b.Drain(ctx))
		}
		errs = append(errs, b.Close())
	}
	return errors.Join(append(errs, f.burns.Close(), f.tables.Close(ctx), f.journal.Close(ctx), f.client.Close())...)
}

// challengeStore is the fleet's, with the figures of what this node holds of it.
type challengeStore struct {
	*cluster.Burns
	local *captcha.Memory
}

// Stats are the figures of the node's own memory.
func (s challengeStore) Stats() map[string]int64 { return s.local.Stats() }
