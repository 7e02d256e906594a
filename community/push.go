package community

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	// Of signals. CrowdSec compatible: how many in a request, how often, and the patience.
	maxBatch      = 50
	signalEvery   = 10 * time.Second
	signalTimeout = 5 * time.Second
	// maxBatchBytes bounds the signals of a request.
	maxBatchBytes = 1 << 20
)

// push is when what is sent is due.
type push struct {
	signals, metrics, usage schedule
	machines                string    // names of the last roster that was sent
	rosterAt                time.Time // when the roster was last looked at
}

// start lets nodes that start together begin apart. CrowdSec compatible: the first
// signals after 3 to 17 s.
func (p *push) start(now time.Time) {
	p.signals.done(now, 10*time.Second, 0.7)
	p.usage.done(now, metricsEvery, 0.5)
}

// pushDue sends what is due.
func (c *Client) pushDue(ctx context.Context) {
	c.pushing.Lock()
	defer c.pushing.Unlock()
	c.keep()
	config, api := c.now()
	if api == nil || ctx.Err() != nil {
		return
	}
	now := c.o.Now()
	if config.Sharing && c.push.signals.ready(now) {
		err := c.sendSignals(ctx, api)
		c.settle(ctx, &c.push.signals, "signals", err, signalEvery, 0.2)
	}
	if config.Metrics {
		c.metricsDue(ctx, api, config.Share.Names)
	}
}

// settle puts a job off after an attempt, and tells of it.
func (c *Client) settle(ctx context.Context, s *schedule, what string, err error, every time.Duration, part float64) {
	now := c.o.Now()
	c.note(now, what, err)
	if err == nil {
		s.done(now, every, part)
		return
	}
	s.failed(now, err)
	if ctx.Err() == nil {
		c.o.Logger.Warn("central API: "+what+" not sent, will be tried again", zap.Error(err), zap.Time("next", s.due))
	}
}

// sendSignals sends all that wait, batch after batch, until one fails.
//
// A signal leaves the queue when the server has said that it took it. So a signal is
// sent again only if no answer came: then the server may see it twice, with the same
// uuid.
func (c *Client) sendSignals(ctx context.Context, api *api) error {
	for ctx.Err() == nil {
		batch, err := c.queue.peek(maxBatch, maxBatchBytes)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := c.sendBatch(ctx, api, batch); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sendBatch sends a batch and forgets it. One that the server finds bad is halved until
// the bad signal is alone, which then goes and is counted: the others are not to wait
// for it.
func (c *Client) sendBatch(ctx context.Context, api *api, batch []queued) error {
	bodies := make([]json.RawMessage, len(batch))
	for i := range batch {
		bodies[i] = batch[i].body
	}
	err := api.call(ctx, request{method: http.MethodPost, path: "signals", body: bodies, timeout: signalTimeout}, nil)
	switch {
	case err == nil:
		c.sent(len(batch))
		return c.queue.remove(batch)
	case !isBad(err):
		return err
	case len(batch) > 1:
		half := len(batch) / 2
		if err := c.sendBatch(ctx, api, batch[:half]); err != nil {
			return err
		}
		return c.sendBatch(ctx, api, batch[half:])
	}
	c.refused.Add(1)
	c.o.Logger.Warn("central API refuses a signal; it is dropped", zap.Error(err))
	return c.queue.remove(batch)
}

// isBad reports whether the server dislikes what is in the body.
func isBad(err error) bool {
	var status *StatusError
	if !errors.As(err, &status) {
		return false
	}
	switch status.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func (c *Client) sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Sent += int64(n)
}
