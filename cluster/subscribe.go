package cluster

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// quietFor is how long a subscription may be silent until it is asked whether it
	// still lives, and then until it is given up.
	quietFor       = 2 * time.Second
	resubscribeMin = 50 * time.Millisecond
)

// subscribe listens to a channel until ctx ends. ready is called whenever it begins to
// listen, since nothing is told of what was said before. A subscription that breaks or
// falls silent, or whose ready fails, is begun anew.
func (c *Client) subscribe(ctx context.Context, channel string, ready func() error, take func(message string)) {
	pause := resubscribeMin
	for ctx.Err() == nil {
		sub := c.redis.Subscribe(ctx, channel)
		stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a read does not hear of ctx
		err := listen(ctx, sub, func() error {
			err := ready()
			if err == nil {
				pause = resubscribeMin
			}
			return err
		}, take)
		stop()
		_ = sub.Close() // it is given up either way
		c.fail(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, backoffMax)
	}
}

// listen returns when the subscription is of no more use.
func listen(ctx context.Context, sub *redis.PubSub, ready func() error, take func(string)) error {
	for asked := false; ; {
		m, err := sub.ReceiveTimeout(ctx, quietFor)
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
		case !asked && errors.As(err, &timeout) && timeout.Timeout():
			asked = true
			err = sub.Ping(ctx)
		}
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *redis.Subscription:
			if err := ready(); err != nil {
				return err
			}
		case *redis.Message:
			take(m.Payload)
		}
	}
}
