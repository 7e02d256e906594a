package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// Client is a node's connection to Redis: it keeps trying, knows whether Redis can
// be used, and holds what a node has in the fleet: its heartbeat, its number, its
// leases. All of the package share one. It is safe for concurrent use.
type Client struct {
	o      Options
	log    *zap.Logger
	now    func() time.Time
	redis  redis.UniversalClient
	health health
	server server

	scripts   scripts
	presence  presence
	numbering numbering
	leases    leases

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed sync.Once

	told sync.Map // kinds of what was logged and is not again
}

// silence is what the library logs: every failure reaches this package as an error.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open checks the options and returns a client that connects in the background. It
// never waits for Redis.
func Open(o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	redis.SetLogger(silence{})
	c := &Client{o: o, log: o.Logger, now: o.Now, redis: o.connect()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.health.open(c)
	c.presence.session, c.presence.started = rand.Text()[:12], c.now()
	c.presence.beat = c.script("beat", beatSource)
	c.numbering.had.Store(noNumber)
	c.leases.script, c.leases.wake = c.script("lease", leaseSource), make(chan struct{}, 1)
	c.redis.AddHook(watch{&c.health})
	if o.Hook != nil {
		c.redis.AddHook(o.Hook)
	}
	c.tasks.Go(c.health.run)
	c.tasks.Go(c.tend)
	return c, nil
}

// Close gives back leases and number, ends what runs in the background and awaits
// it. Users of the client are closed before it.
func (c *Client) Close() error {
	var err error
	c.closed.Do(func() {
		c.cancel()
		c.tasks.Wait()
		c.health.up.Store(false)
		if e := c.redis.Close(); e != nil && !errors.Is(e, redis.ErrClosed) {
			err = fmt.Errorf("closing redis: %w", e)
		}
	})
	return err
}

// Up reports whether Redis can be used now.
func (c *Client) Up() bool { return c.health.up.Load() }

// Health tells how Redis is.
func (c *Client) Health() Health {
	h := c.health.read()
	c.server.fill(&h)
	return h
}

// changed returns a channel that gets a value after each change of health; changes
// that follow each other quickly may share one. stop ends that.
func (c *Client) changed() (wake <-chan struct{}, stop func()) { return c.health.watch() }

// rdb is the connection itself. Outcomes of its calls reach the health by
// themselves.
func (c *Client) rdb() redis.UniversalClient { return c.redis }

// report logs that something failed which is tried again, the first time for each
// kind of error. What says how Redis is, the health has told; an end is no failure.
func (c *Client) report(what string, err error) {
	if err == nil || judge(err) != nil || errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return
	}
	fields := []zap.Field{zap.Error(err)}
	kind := what
	var said redis.Error
	if errors.As(err, &said) {
		code, _, _ := strings.Cut(said.Error(), " ")
		if kind += " " + code; code == "WRONGTYPE" {
			fields = append(fields, zap.String("remedy", "delete the key that holds something else than it should"))
		}
	}
	if c.first(kind) {
		c.log.Warn(what+" failed, trying again", fields...)
	}
}

// refuse logs that something in Redis is not taken over, the first time for each kind;
// who calls it counts it.
func (c *Client) refuse(kind string, err error) {
	if c.first("refused " + kind) {
		c.log.Warn("something in redis is refused; more of this kind is only counted", zap.String("kind", kind), zap.Error(err))
	}
}

// first reports whether it is asked for that kind the first time.
func (c *Client) first(kind string) bool {
	_, again := c.told.LoadOrStore(kind, true)
	return !again
}

// isName reports whether something may be part of a key by itself.
func isName(s string) bool {
	return s != "" && len(s) <= maxPart && !strings.ContainsAny(s, "{} :\x00")
}

// key is the prefix and the parts, joined by colons. A part "{x}" places the key in
// a Redis Cluster: keys that are used together have the same.
func (c *Client) key(parts ...string) string {
	return c.o.Prefix + strings.Join(parts, ":")
}

// clustered reports whether keys of one call must have the same tag.
func (c *Client) clustered() bool { return len(c.o.Cluster) > 0 }
