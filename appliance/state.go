package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/logsources"
	"github.com/rampart-edge/rampart/scenarios"
	"github.com/rampart-edge/rampart/store"
)

// Verdict is what the set says of an address.
type Verdict = decisions.Verdict

// state is what a node has open: it lives from the first Use to Close.
type state struct {
	owner   *Appliance
	dir     string
	started time.Time
	db      *store.DB
	marks   *store.Marks
	allow   *decisions.Allow
	book    *decisions.Book
	minter  minters
	secret  []byte // in force: this node's own, or the fleet's. Guarded by owner.mu
	buckets *buckets
	limits  LimitConfig   // as this run began
	storage StorageConfig // so too
	fleet   *fleet        // nil where nothing is shared
	api     *api
	// exchange is with others than the nodes of the fleet
	exchange exchange
	// joined: the fleet's secret is known, if only from an earlier run. Guarded by owner.mu
	joined  bool
	gate    *captcha.Gate
	gateFor gateKey
	passed  map[string]int64 // figures of the gates before
	spent   *captcha.Memory  // challenge tokens that were used
	queue   *queue
	hits    *hits
	recent  *refusals
	tails   *logsources.Supervisor
	wall    *wall
	watch   *watcher
	last    lastStop
	proxies *proxies
	cancel  context.CancelFunc
	done    sync.WaitGroup
	// simulation is what operators chose while the node ran
	simulation *decisions.SimulationStore
	allowed    *allowKeeper
}

// lastStop says how the run before this one ended.
type lastStop struct {
	Clean    bool   `json:"clean"`
	First    bool   `json:"first_start,omitempty"`
	Restored int    `json:"buckets_restored"`
	Dropped  int    `json:"buckets_dropped"`
	Note     string `json:"note,omitempty"`
}

const (
	stateBucket  = "state"
	runningKey   = "running"
	snapshotFile = "buckets.snapshot"
)

// open opens the data directory of the node and starts what runs on it.
func (a *Appliance) open(s *Settings) (*state, error) {
	c := s.config
	if c.DataDir == "" {
		return nil, errors.New("no data directory is set; set data_dir")
	}
	allow := decisions.NewAllow(time.Now)
	st := &state{owner: a, dir: c.stateDir(), started: time.Now(), limits: c.Limits, storage: c.Storage, hits: newHits(),
		recent: newRefusals(), allow: allow, proxies: newProxies(allow), spent: captcha.NewMemory(time.Now)}
	if err := st.openStores(s); err != nil {
		return nil, errors.Join(err, st.closeStores())
	}
	st.buckets = &buckets{Memory: scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: c.Limits.Buckets,
		SampleBytes: c.Limits.SampleBytes, Now: time.Now, Overflow: st.overflow})}
	err := st.restore(s)
	if err == nil {
		st.wall, err = newWall(st)
	}
	if err == nil && c.Storage.shared() {
		st.fleet, err = openFleet(st, s)
	}
	if err == nil {
		err = st.openOthers(s)
	}
	if err != nil {
		return nil, errors.Join(err, st.abandon())
	}
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel = cancel
	st.queue = newQueue(st, c.Limits)
	st.tails = logsources.NewSupervisor(logsources.Options{Sink: st.queue, Positions: st.marks,
		Logger: s.log.Named("sources"), Now: time.Now})
	st.watch = newWatcher(a)
	proxies := func(ctx context.Context) { st.proxies.run(ctx, st.wall.look) }
	st.allowed = newAllowKeeper(allow, st.wall.look, s.log.Named("allowlist"))
	st.allowed.use(c.Resolver)
	runs := []func(context.Context){st.keepHouse, st.wall.run, st.watch.run, proxies, st.allowed.run, st.exchange.feeds.Run, st.exchange.aggregator.Run}
	if st.fleet != nil {
		st.fleet.start()
		runs = append(runs, st.fleet.run)
	}
	st.exchange.start()
	for _, run := range runs {
		st.done.Add(1)
		go func() {
			defer st.done.Done()
			run(ctx)
		}()
	}
	return st, nil
}

// openOthers makes what programs other than the nodes of the fleet come to.
func (st *state) openOthers(s *Settings) (err error) {
	if st.api, err = openAPI(st, s); err != nil {
		return err
	}
	if err := st.openExchange(s); err != nil {
		return err
	}
	return st.api.listen(s)
}

// abandon ends what open began before it failed.
func (st *state) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), secretTimeout)
	defer cancel()
	var errs []error
	if st.api != nil {
		errs = append(errs, st.api.close(ctx))
	}
	if st.fleet != nil {
		errs = append(errs, st.fleet.close(ctx))
	}
	return errors.Join(append(errs, st.closeStores())...)
}

func (st *state) openStores(s *Settings) (err error) {
	if err = os.MkdirAll(st.dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w; set data_dir to a place that this user may write", err)
	}
	if st.db, err = store.Open(st.dir, store.Options{}); err != nil {
		return fmt.Errorf("opening the data directory %s: %w", st.dir, err)
	}
	if st.marks, err = store.OpenMarks(filepath.Join(st.dir, "positions.json")); err != nil {
		if !errors.Is(err, store.ErrMarksDamaged) {
			return fmt.Errorf("opening positions: %w", err)
		}
		s.log.Error("the file of log positions was damaged and set aside; logs are followed from their end", zap.Error(err))
	}
	if err := st.openSecrets(); err != nil {
		return err
	}
	if err := st.openSimulation(s.log); err != nil {
		return err
	}
	st.allowHost(s.log)
	st.allow.SetBuiltin(decisions.KindConfig, s.allow)
	// Without a clock of its own the set has a coarse one that costs a lookup nothing.
	st.book, err = decisions.OpenBook(decisions.BookOptions{DB: st.db, Allow: st.allow,
		Logger: s.log.Named("decisions"), MaxAlerts: s.config.Limits.Alerts,
		MaxAlertBytes: s.config.Limits.AlertBytes, AlertAge: time.Duration(s.config.Limits.AlertAge), MaxDecisions: s.config.Limits.Decisions})
	if err != nil {
		return fmt.Errorf("opening decisions: %w", err)
	}
	st.simulateLists(s)
	return nil
}

// openSecrets puts the secret of the fleet in force where there is one and it is known
// from an earlier run, and the node's own elsewhere. Incident ids of both are
// understood.
func (st *state) openSecrets() error {
	own, err := st.db.Secret("node", 32)
	if err != nil {
		return fmt.Errorf("reading the node's secret: %w", err)
	}
	fleets, err := st.db.Get(stateBucket, fleetSecretKey)
	if err != nil {
		return fmt.Errorf("reading the fleet's secret: %w", err)
	}
	st.useSecret(own)
	if len(fleets) != len(own) {
		return nil
	}
	st.useSecret(fleets)
	if st.joined = st.storage.shared(); !st.joined {
		st.useSecret(own)
	}
	return nil
}

// useSecret makes secret the one in force.
func (st *state) useSecret(secret []byte) {
	st.secret = secret
	st.minter.use(secret)
}

// secretInForce is for who does not hold owner.mu.
func (st *state) secretInForce() []byte {
	st.owner.mu.Lock()
	defer st.owner.mu.Unlock()
	return st.secret
}

// restore takes back the buckets that a clean stop left, and notes how the run
// before ended.
func (st *state) restore(s *Settings) error {
	mark, err := st.db.Get(stateBucket, runningKey)
	if err != nil {
		return fmt.Errorf("reading the node's state: %w", err)
	}
	// The mark comes first and the snapshot goes last: killed in between, the next
	// start restores it again.
	if err := st.db.Put(stateBucket, runningKey, []byte(time.Now().UTC().Format(time.RFC3339))); err != nil {
		return fmt.Errorf("marking the node as running: %w", err)
	}
	file := filepath.Join(st.dir, snapshotFile)
	snap, err := os.Open(file)
	switch {
	case err == nil:
		defer snap.Close()
		st.last.Clean = true
		if st.last.Restored, st.last.Dropped, err = st.buckets.Restore(snap, s.rules); err != nil {
			st.last.Note = "the buckets of the last run could not be read: " + err.Error()
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("removing the restored buckets: %w", err)
		}
	case mark != nil:
		st.last.Note = "the last run did not end cleanly: half-full buckets were lost; decisions and log positions are intact"
	default:
		st.last.First, st.last.Clean = true, true
	}
	if st.last.Note != "" {
		s.log.Warn(st.last.Note)
	}
	return nil
}

// allowHost puts the addresses of this machine on the allowlist; none of them can
// be banned. If they cannot be told, those known before stay.
func (st *state) allowHost(log *zap.Logger) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		log.Warn("asking for this host's addresses, which are never banned", zap.Error(err))
		return
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			ip = ip.Unmap()
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	st.allow.SetBuiltin(decisions.KindHost, out)
}

// engine makes the engine that runs s on this node.
func (st *state) engine(s *Settings) *engine.Engine {
	machine := s.config.Node
	if st.fleet != nil {
		machine = st.fleet.name
	}
	return engine.New(engine.Options{Pipeline: s.ruleset.Pipeline, Postoverflows: s.ruleset.Postoverflows,
		Rules: s.rules, Buckets: st.buckets, Profiles: s.profiles, Journal: (*journal)(st), Watch: st.recorded,
		Counters: &st.owner.counters.engine, Logger: s.log, Now: time.Now, Machine: machine,
		Native: s.skips, Simulated: st.simulated(s), Width64: s.config.IPv6Prefix == 64})
}

// overflow is the sink of the buckets.
func (st *state) overflow(o *scenarios.Overflow) {
	if l := st.owner.live.Load(); l != nil {
		l.engine.Overflow(o)
	}
}

// follow brings what runs beside the request path in line with s.
func (st *state) follow(s *Settings) {
	st.allow.SetBuiltin(decisions.KindConfig, s.allow)
	st.allowHost(s.log)
	st.simulateLists(s)
	st.allowed.use(s.config.Resolver)
	st.proxies.use(s, true)
	st.tails.Use(s.sources)
	st.wall.use(s)
	st.api.follow(s)
	st.useExchange(s)
	st.watch.use(s)
}

// keepHouse does every second what needs doing once a second.
func (st *state) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	marks := marksKeeper{st: st}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			st.book.Expire(now)
			st.buckets.Sweep(now)
			marks.sync(n%60 == 0)
			st.api.look(now, st.owner.logger())
			if n%hitWindow == 0 {
				st.hits.forget()
				st.wall.look()
			}
			if n%60 == 0 {
				st.allowHost(st.owner.logger())
				if l := st.owner.live.Load(); l != nil {
					st.proxies.use(l.settings, false)
				}
			}
		}
	}
}

// close ends what open started, in the order in which data flows.
func (st *state) close(ctx context.Context) error {
	errs := []error{st.tails.Close(), st.api.close(ctx)}
	if st.fleet != nil {
		st.fleet.closing.Store(true)
	}
	errs = append(errs, st.queue.drain(ctx))
	st.cancel()
	st.done.Wait()
	if st.fleet != nil {
		errs = append(errs, st.fleet.close(ctx))
	}
	errs = append(errs, st.exchange.close(ctx), st.snapshot(), st.wall.close(), st.closeStores())
	st.queue.await() // a worker that waited for the disk ends with the stores
	return errors.Join(errs...)
}

// snapshot writes the buckets down for the next start.
func (st *state) snapshot() error {
	file := filepath.Join(st.dir, snapshotFile)
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing buckets: %w", err)
	}
	err = errors.Join(st.buckets.Snapshot(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil {
		err = syncDir(st.dir)
	}
	if err != nil {
		return fmt.Errorf("writing buckets: %w", err)
	}
	return st.db.Delete(stateBucket, runningKey)
}

func (st *state) closeStores() error {
	var errs []error
	if st.book != nil {
		errs = append(errs, st.book.Close())
	}
	if st.marks != nil {
		errs = append(errs, st.marks.Close())
	}
	if st.db != nil {
		errs = append(errs, st.db.Close())
	}
	return errors.Join(errs...)
}
