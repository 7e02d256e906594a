package captcha

import (
	"context"
	"errors"
	"time"
)

// ErrStoreFull is returned by Burn when no further token can be remembered. The
// answer is then refused: letting it through would let it be used again.
var ErrStoreFull = errors.New("captcha store is full of spent tokens")

// Store is the only state that a Gate keeps. Several nodes may share one.
type Store interface {
	// Burn spends id, once: fresh is true for exactly one of any number of
	// concurrent calls, on all nodes that share the store. The id may be
	// forgotten after expires.
	Burn(ctx context.Context, id [16]byte, expires time.Time) (fresh bool, err error)
	// Allow takes one token from the bucket named key, which holds burst tokens
	// and gains one per period. If there is none, retry says when there will be.
	// It does not fail: an implementation that cannot reach its peers counts by
	// itself.
	Allow(ctx context.Context, key string, period time.Duration, burst int) (ok bool, retry time.Duration)
}

// rate is the size of a token bucket: one token per period, at most burst.
type rate struct {
	period time.Duration
	burst  int
}

// take takes a token from a bucket that is kept as one number: the instant, in
// ns, at which it will be full again (the generic cell rate algorithm). retry is
// zero if there was a token.
func (r rate) take(full, now int64) (next int64, retry time.Duration) {
	full = max(full, now)
	if wait := full + int64(r.period)*int64(1-r.burst) - now; wait > 0 {
		return full, time.Duration(wait)
	}
	return full + int64(r.period), 0
}
