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
	minter  *decisions.Minter
	secret  []byte
	buckets *scenarios.Memory
	gate    *captcha.Gate
	gateFor gateKey
	spent   *captcha.Memory // challenge tokens that were used
	queue   *queue
	hits    *hits
	recent  *refusals
	tails   *logsources.Supervisor
	wall    *wall
	watch   *watcher
	last    lastStop
	proxyMu sync.Mutex
	proxies []netip.Prefix // networks of trusted proxies, as far as known
	met     []netip.Prefix // trusted proxies that sent something
	cancel  context.CancelFunc
	done    sync.WaitGroup
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
	st := &state{owner: a, dir: filepath.Join(c.DataDir, c.Node), started: time.Now(),
		hits: newHits(), recent: newRefusals(), allow: decisions.NewAllow(time.Now), spent: captcha.NewMemory(time.Now)}
	if err := st.openStores(s); err != nil {
		return nil, errors.Join(err, st.closeStores())
	}
	st.buckets = scenarios.NewMemory(scenarios.MemoryOptions{MaxBuckets: c.Limits.Buckets,
		SampleBytes: c.Limits.SampleBytes, Now: time.Now, Overflow: st.overflow})
	err := st.restore(s)
	if err == nil {
		st.wall, err = newWall(st)
	}
	if err != nil {
		return nil, errors.Join(err, st.closeStores())
	}
	ctx, cancel := context.WithCancel(context.Background())
	st.cancel = cancel
	st.queue = newQueue(st, c.Limits)
	st.tails = logsources.NewSupervisor(logsources.Options{Sink: st.queue, Positions: st.marks,
		Logger: s.log.Named("sources"), Now: time.Now})
	st.watch = newWatcher(a)
	for _, run := range []func(context.Context){st.keepHouse, st.wall.run, st.watch.run} {
		st.done.Add(1)
		go func() {
			defer st.done.Done()
			run(ctx)
		}()
	}
	return st, nil
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
	if st.secret, err = st.db.Secret("node", 32); err != nil {
		return fmt.Errorf("reading the node's secret: %w", err)
	}
	st.minter = decisions.NewMinter(st.secret)
	st.allow.SetBuiltin(decisions.KindHost, hostAddresses())
	st.allow.SetBuiltin(decisions.KindConfig, s.allow)
	st.book, err = decisions.OpenBook(decisions.BookOptions{DB: st.db, Allow: st.allow, Now: time.Now,
		Logger: s.log.Named("decisions"), MaxAlerts: s.config.Limits.Alerts, AlertAge: 7 * 24 * time.Hour})
	if err != nil {
		return fmt.Errorf("opening decisions: %w", err)
	}
	return nil
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

// hostAddresses are the addresses of this machine; none of them can be banned.
func hostAddresses() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
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
	return out
}

// engine makes the engine that runs s on this node.
func (st *state) engine(s *Settings) *engine.Engine {
	return engine.New(engine.Options{Pipeline: s.pipeline, Rules: s.rules, Buckets: st.buckets,
		Profiles: s.profiles, Journal: (*journal)(st), Counters: &st.owner.counters.engine,
		Logger: s.log, Now: time.Now, Machine: s.config.Node, Native: native,
		Width64: s.config.IPv6Prefix == 64})
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
	st.allow.SetBuiltin(decisions.KindHost, hostAddresses())
	st.useProxies(s, true)
	st.tails.Use(s.sources)
	st.wall.use(s)
	st.watch.use(s)
}

// keepHouse does every second what needs doing once a second.
func (st *state) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			st.book.Expire(now)
			st.buckets.Sweep(now)
			if err := st.marks.Sync(); err != nil {
				st.owner.logger().Error("writing log positions", zap.Error(err))
			}
			if n%hitWindow == 0 {
				st.hits.forget()
				st.wall.look()
			}
			if n%60 == 0 {
				st.allow.SetBuiltin(decisions.KindHost, hostAddresses())
				if l := st.owner.live.Load(); l != nil {
					st.useProxies(l.settings, false)
				}
			}
		}
	}
}

// close ends what open started, in the order in which data flows.
func (st *state) close(ctx context.Context) error {
	errs := []error{st.tails.Close(), st.queue.drain(ctx)}
	st.cancel()
	st.done.Wait()
	errs = append(errs, st.snapshot(), st.wall.close(), st.closeStores())
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
