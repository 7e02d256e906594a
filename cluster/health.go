package cluster

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const (
	probeEvery = time.Second
	backoffMin = 100 * time.Millisecond
	backoffMax = 2 * time.Second
	// probesToRise is how many probes in a row must succeed.
	probesToRise = 2
	// failuresToFall is how many calls in a row must fail in a way that may be the
	// fault of one connection.
	failuresToFall = 2
	// deniedFor is how long a denied command is believed: the probe does not run it,
	// so that its success proves nothing.
	deniedFor = 30 * time.Second
	// probeShards of a Redis Cluster are written to by a probe.
	probeShards = 16
)

// The states of Health.
const (
	StateConnecting = "connecting" // nothing is known yet
	StateUp         = "up"
	StateDegraded   = "degraded" // each node goes on by itself
)

// Health tells how Redis is.
type Health struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Reason says why it is not up, and what to do where something can be done.
	Reason string `json:"reason,omitempty"`
	Kind   string `json:"kind"` // "standalone", "sentinel", "cluster"
	Server string `json:"server,omitempty"`
	Role   string `json:"role,omitempty"`
	// Policy is maxmemory-policy, MaxMemory its limit in bytes (0: none).
	Policy    string `json:"policy,omitempty"`
	MaxMemory int64  `json:"maxmemory,omitempty"`
	// Evictions counts keys that Redis threw out for want of memory.
	Evictions int64 `json:"evictions,omitempty"`
	// Warning is about settings of the server that endanger the shared state.
	Warning string `json:"warning,omitempty"`
	// EvalMicros is the mean time that a script takes in the server, in µs.
	EvalMicros float64 `json:"eval_us,omitempty"`
}

// health is the state machine: connecting, up, degraded.
type health struct {
	c      *Client
	up     atomic.Bool
	streak atomic.Int32  // failures in a row that may be a connection's
	failed atomic.Int64  // when the last of them failed, in ns since the client's start
	falls  atomic.Int64  // how often it was lost
	doubt  chan struct{} // poked to have the next probe made at once

	mu     sync.Mutex
	state  string
	since  time.Time
	known  bool // it has been up
	why    *failure
	denied time.Time // until then no probe is believed
	ears   map[chan struct{}]struct{}
}

func (h *health) open(c *Client) {
	h.c, h.doubt = c, make(chan struct{}, 1)
	h.state, h.since = StateConnecting, c.now()
	h.ears = map[chan struct{}]struct{}{}
}

func (h *health) read() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := Health{State: h.state, Since: h.since, Kind: h.c.o.kind()}
	if h.why != nil {
		out.Reason = h.why.reason
	}
	return out
}

func (h *health) watch() (<-chan struct{}, func()) {
	ear := make(chan struct{}, 1)
	h.mu.Lock()
	h.ears[ear] = struct{}{}
	h.mu.Unlock()
	return ear, func() {
		h.mu.Lock()
		delete(h.ears, ear)
		h.mu.Unlock()
	}
}

// outcome takes the error of a call that began then, nil included. Calls that were
// under way together and failed together count as one: what ails a connection for a
// moment ails all that wait at the time.
func (h *health) outcome(begun time.Duration, err error) {
	f := judge(err)
	if f == nil {
		if h.streak.Load() != 0 {
			h.streak.Store(0)
		}
		return
	}
	last := h.failed.Load()
	apart := h.streak.Load() == 0 || int64(begun) >= last
	if !f.sure && apart && h.failed.CompareAndSwap(last, int64(h.c.elapsed())) {
		h.streak.Add(1)
	}
	if f.sure || h.streak.Load() >= failuresToFall {
		h.fall(f)
	}
	poke(h.doubt)
}

// hear takes an error that did not come from a call of rdb, such as one of a
// subscription. One that came from there may be heard too, it counts once.
func (h *health) hear(err error) {
	if f := judge(err); f != nil {
		if f.sure {
			h.fall(f)
		}
		poke(h.doubt)
	}
}

// fall makes it degraded, or notes the newest reason where it is that already. The
// log hears of the first and of every new reason that a person must act on.
func (h *health) fall(f *failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.c.now()
	if f.code == "NOPERM" {
		h.denied = now.Add(deniedFor)
	}
	was, old := h.state, h.why
	if !h.known {
		f = f.hint(h.c.o.TLS != nil)
	}
	h.why = f
	if was == StateDegraded {
		if f.act && (old == nil || old.code != f.code) {
			h.c.log.Warn("redis is still out of use, for another reason", zap.String("reason", f.reason), zap.Time("since", h.since))
		}
		return
	}
	h.falls.Add(1)
	h.turn(StateDegraded, now)
	h.c.log.Warn("redis is out of use: this node goes on by itself", zap.String("reason", f.reason), zap.Time("since", now))
}

// rise makes it up.
func (h *health) rise() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.c.now()
	if h.state == StateUp || now.Before(h.denied) {
		return
	}
	since := h.since
	h.why, h.known = nil, true
	h.turn(StateUp, now)
	h.c.log.Info("redis is in use", zap.String("kind", h.c.o.kind()), zap.Duration("after", now.Sub(since)))
}

func (h *health) turn(state string, now time.Time) {
	h.state, h.since = state, now
	h.up.Store(state == StateUp)
	for ear := range h.ears {
		poke(ear)
	}
}

// run probes until the client is closed: once a second while all is well, with
// growing pauses while it is not.
func (h *health) run() {
	good, pause := 0, time.Duration(0)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.c.ctx.Done():
			return
		case <-h.doubt:
			if !h.up.Load() {
				continue // the pauses are kept: the others' failures do not hurry us
			}
		case <-timer.C:
		}
		falls := h.falls.Load()
		err := h.probe(h.c.ctx)
		failed := judgeProbe(err)
		if failed == nil {
			h.c.server.refresh(h.c)
		} else if failed.sure {
			h.fall(failed) // as the hook has done, but for what only a probe minds
		}
		switch {
		case failed != nil:
			good = 0
			pause = min(max(2*pause, backoffMin), backoffMax)
		case h.read().State == StateUp:
			good, pause = 0, 0
		case falls != h.falls.Load(): // it fell while the probe was under way
			good, pause = 0, backoffMin
		default:
			if good++; good >= probesToRise || h.read().State == StateConnecting {
				h.rise()
			}
			pause = backoffMin
		}
		timer.Reset(h.wait(pause))
	}
}

// wait is the time to the next probe: between a half and the whole of the pause, so
// that the nodes of a fleet do not come all at once.
func (h *health) wait(pause time.Duration) time.Duration {
	if pause == 0 {
		return probeEvery
	}
	return pause/2 + rand.N(pause/2+1)
}

// probe writes a key, to several servers where there are several: reading alone
// would not tell that a server has become a replica.
func (h *health) probe(ctx context.Context) error {
	keys := []string{h.c.key("{j}", "probe")}
	if h.c.clustered() {
		for i := range probeShards {
			keys = append(keys, h.c.key("1", "{s"+strconv.Itoa(i*256/probeShards)+"}", "probe"))
		}
	}
	pipe := h.c.redis.Pipeline()
	for _, k := range keys {
		pipe.Set(ctx, k, h.c.o.Node, time.Minute)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// watch is the hook that tells the health of every call's outcome.
type watch struct{ h *health }

// unwatched marks the context of calls that are allowed to fail.
type unwatched struct{}

func (w watch) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		begun := w.h.c.elapsed()
		err := next(ctx, cmd)
		if ctx.Value(unwatched{}) == nil {
			w.h.outcome(begun, err)
		}
		return err
	}
}

func (w watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		begun := w.h.c.elapsed()
		err := next(ctx, cmds)
		if ctx.Value(unwatched{}) != nil {
			return err
		}
		worst := err
		for _, cmd := range cmds {
			if judge(cmd.Err()) != nil {
				worst = cmd.Err()
				break
			}
		}
		w.h.outcome(begun, worst)
		return err
	}
}
