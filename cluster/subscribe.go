package cluster

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// quietFor is how long a subscription may be silent until it is asked whether it
// still lives, and then until it is given up.
const quietFor = 2 * time.Second

// subscribe listens to a channel until ctx ends. ready is called whenever it begins to
// listen, since nothing is told of what was said before. A subscription that breaks or
// falls silent, or whose ready fails, is begun anew.
func (c *Client) subscribe(ctx context.Context, channel string, ready func() error, take func(message string)) {
	var slow backoff
	for ctx.Err() == nil {
		sub := c.redis.Subscribe(ctx, channel)
		stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a read does not hear of ctx
		err := listen(ctx, sub, func() error {
			err := ready()
			if err == nil {
				slow = 0
			}
			return err
		}, take)
		stop()
		_ = sub.Close() // it is given up either way
		c.health.hear(err)
		c.report("listening to "+channel, err)
		slow.wait(ctx)
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
