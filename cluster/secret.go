package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

const (
	minSecret = 16
	maxSecret = 4096
)

// Secret gives the secret with that name (letters, digits and dashes) that the whole
// fleet uses: own if nobody was there before, else what the first gave. It has as
// many bytes as own, at least 16. An error tells nothing of the secret.
func (c *Client) Secret(ctx context.Context, name string, own []byte) ([]byte, error) {
	if len(own) < minSecret || len(own) > maxSecret {
		return nil, fmt.Errorf("secret %s: has %d bytes, %d to %d are allowed", name, len(own), minSecret, maxSecret)
	}
	if !isName(name) {
		return nil, fmt.Errorf("secret %q: not a name", name)
	}
	key := c.key("{j}", "secret", name)
	if _, err := c.redis.SetNX(ctx, key, own, 0).Result(); err != nil {
		return nil, fmt.Errorf("sharing secret %s: %w", name, err)
	}
	fleets, err := c.redis.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("sharing secret %s: it is gone from Redis again", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %s: %w", name, err)
	}
	if len(fleets) != len(own) {
		return nil, fmt.Errorf("secret %s in Redis has %d bytes, not %d: delete key %s and restart the nodes", name, len(fleets), len(own), key)
	}
	return fleets, nil
}
