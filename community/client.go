package community

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

const (
	// tick is how often the loops of Run look at what is due.
	tick = time.Second
	// maxInbox bounds the signals on their way to the disk.
	maxInbox = 2000
)

// Client is the client of a Central API. It is safe for concurrent use.
type Client struct {
	o     Options
	shelf *shelf
	queue *queue

	mu     sync.Mutex // of the fields below; never held while the network or disk works
	config Config
	api    *api   // nil: there are no credentials
	off    string // why, if so
	inbox  [][]byte
	status Status
	// failing: the disk did not take what was in the inbox.
	failing bool
	// used counts calls of Use, and withdrawn is the one after which what was pulled and is
	// not wanted any more was taken back.
	used, withdrawn int

	full    atomic.Int64 // signals that found no place on their way to the disk
	refused atomic.Int64 // signals that the server or we found bad
	pushing sync.Mutex   // of push, held while it works
	push    push
	pulling sync.Mutex // of pull, held while it works
	pull    pull
}

// New returns a client that does nothing until Use. What an earlier process left to be
// sent is still there.
func New(o Options) (*Client, error) {
	if o.Book == nil || o.DB == nil {
		return nil, errors.New("client of the Central API: no journal or database")
	}
	o = o.filled()
	q, err := openQueue(o.DB)
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, queue: q, off: "no credentials are configured"}
	c.shelf = newShelf(&c.o)
	c.push.start(o.Now())
	if err := c.pull.load(o.DB); err != nil {
		return nil, err
	}
	return c, nil
}

// Use replaces the configuration. Credentials that are not there yet are no error: the
// client waits, and Status says so.
func (c *Client) Use(config Config) error {
	if err := config.normalise(); err != nil {
		return fmt.Errorf("central API: %w", err)
	}
	a, off, err := c.open(config)
	if err != nil {
		return fmt.Errorf("central API: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a != nil && c.api != nil && a.cred == c.api.cred {
		a = c.api // its token, and a login that is under way
	}
	c.config, c.api, c.off = config, a, off
	c.used++
	return nil
}

// open reads the credentials of a configuration.
func (c *Client) open(config Config) (a *api, off string, err error) {
	if config.Credentials == "" {
		return nil, "no credentials are configured", nil
	}
	cred, err := ReadCredentials(config.Credentials)
	if errors.Is(err, ErrNotRegistered) {
		return nil, err.Error(), nil
	}
	if err != nil {
		return nil, "", err
	}
	a, err = newAPI(&c.o, cred)
	return a, "", err
}

// now returns what is in force: the API is nil if there is none.
func (c *Client) now() (Config, *api) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config, c.api
}

// server returns the API, or says why there is none.
func (c *Client) server() (*api, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api == nil {
		return nil, fmt.Errorf("%w (%s): run `rampart capi register`", ErrNotRegistered, c.off)
	}
	return c.api, nil
}

// Wants reports whether there is something here for the node that leads to do: to pull,
// or, if it is this one already, to take back what is not wanted any more.
func (c *Client) Wants() bool {
	c.mu.Lock()
	pulls, unwanted := c.api != nil && c.config.Pull, c.used != c.withdrawn
	c.mu.Unlock()
	return pulls || unwanted && c.o.Leads()
}

// Run pushes and pulls until ctx is done. What has not been sent by then waits on disk.
func (c *Client) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { every(ctx, tick, func(context.Context) { c.keep() }) })
	loops.Go(func() { every(ctx, tick, c.pushDue) })
	loops.Go(func() { every(ctx, tick, c.pullDue) })
	loops.Wait()
	c.keep()
}

// every calls step again and again; when it returns no step is under way.
func every(ctx context.Context, d time.Duration, step func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Offer takes an alert that was recorded here. Whether it is shared is the
// configuration's to say. Decisions count only where the alert carries none. It returns
// at once; what finds no place is counted as dropped.
func (c *Client) Offer(a *event.Alert, ds []decisions.Decision) {
	config, api := c.now()
	if !config.Sharing || api == nil {
		return
	}
	if len(a.Decisions) == 0 && len(ds) > 0 {
		whole := *a
		whole.Decisions = alertDecisions(ds, c.o.Now())
		a = &whole
	}
	s, err := c.newSignal(a, &config.Share, api.cred.Login)
	if err != nil {
		c.o.Logger.Debug("alert makes no signal", zap.String("scenario", a.Scenario), zap.Error(err))
		return
	}
	body, err := s.encode()
	if err != nil {
		c.refused.Add(1)
		c.o.Logger.Debug("alert makes no signal", zap.String("scenario", a.Scenario), zap.Error(err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inbox) >= maxInbox {
		c.full.Add(1)
		return
	}
	c.inbox = append(c.inbox, body)
}

// keep brings what was offered to the disk. What the disk does not take waits for the
// next time, as far as there is place.
func (c *Client) keep() {
	c.mu.Lock()
	bodies := c.inbox
	c.inbox = nil
	c.mu.Unlock()
	err := c.queue.add(bodies)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.inbox = append(bodies, c.inbox...)
		if over := len(c.inbox) - maxInbox; over > 0 {
			c.inbox = c.inbox[over:]
			c.full.Add(int64(over))
		}
	}
	if failing := err != nil; failing != c.failing {
		c.failing = failing
		if failing {
			c.o.Logger.Warn("signals do not get to the disk; they wait in memory", zap.Error(err))
		}
	}
}
