package localapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash/maphash"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	trySlots   = 1 << 14
	maxHashing = 64 // calls that wait to have a password hashed
)

// tryRate is how many tries there are: one in a while, and so many at once.
type tryRate struct {
	every time.Duration
	burst int
}

// Rates of what goes wrong: for one name from one address, and for all names from
// one. Read-only.
var (
	tryName = tryRate{6 * time.Second, 20}
	tryAll  = tryRate{time.Second, 100}
)

// trier is who tries: an address (of IPv6, a /64), and for which name.
type trier struct {
	from netip.Addr
	name string
}

// doorkeeper makes guessing passwords slow for the one who guesses and cheap for us.
//
// Tries are counted in a fixed table under a secret hash: two may share a place, and
// a flood of addresses takes no memory. Who proves to be right gets the try back, so
// a site with many agents behind one address is not held up. A password that was
// right before costs a try but no bcrypt.
type doorkeeper struct {
	seed   maphash.Seed
	pepper [32]byte // key of the hashes of passwords that were right

	mu    sync.Mutex
	tries [trySlots]time.Time // when the place would be empty again

	hashing chan struct{}
	waiting atomic.Int64
}

func newDoorkeeper() *doorkeeper {
	d := &doorkeeper{seed: maphash.MakeSeed(), hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	_, _ = rand.Read(d.pepper[:]) // never fails
	return d
}

// try takes one try, or answers 429. Where a machine fails, others of its address go
// on, up to a rate for the address that bounds what it costs us.
func (d *doorkeeper) try(t trier, rate tryRate, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := &d.tries[d.slot(t)]
	if slot.Before(now) {
		*slot = now
	}
	if wait := slot.Add(rate.every).Sub(now) - time.Duration(rate.burst)*rate.every; wait > 0 {
		return &failure{status: http.StatusTooManyRequests, text: "too many attempts, try again later", wait: wait}
	}
	*slot = slot.Add(rate.every)
	return nil
}

// forgive gives a try back.
func (d *doorkeeper) forgive(t trier, rate tryRate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := &d.tries[d.slot(t)]
	*slot = slot.Add(-rate.every)
}

func (d *doorkeeper) slot(t trier) int {
	if t.from.Is6() {
		if p, err := t.from.Prefix(64); err == nil {
			t.from = p.Addr()
		}
	}
	return int(maphash.Comparable(d.seed, t) % trySlots)
}

// hash runs fn, which hashes a password, as one of a few at a time.
func (d *doorkeeper) hash(ctx context.Context, fn func() error) error {
	defer d.waiting.Add(-1)
	if d.waiting.Add(1) > maxHashing {
		return &failure{status: http.StatusServiceUnavailable, text: "too many logins at once, try again", wait: 5 * time.Second}
	}
	select {
	case d.hashing <- struct{}{}:
	case <-ctx.Done():
		return fail(http.StatusServiceUnavailable, "the client has gone")
	}
	defer func() { <-d.hashing }()
	return fn()
}

// check compares a password with a row's hash.
func (d *doorkeeper) check(ctx context.Context, hash, password string) (right bool, err error) {
	if len(password) > maxPassword {
		return false, nil
	}
	err = d.hash(ctx, func() error {
		right = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
		return nil
	})
	return right, err
}

// mark is the keyed hash of a password that belongs to a row's hash.
func (d *doorkeeper) mark(hash, password string) []byte {
	h := hmac.New(sha256.New, d.pepper[:])
	h.Write([]byte(hash))
	h.Write([]byte{0})
	h.Write([]byte(password))
	return h.Sum(nil)
}
