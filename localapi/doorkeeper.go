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
	tryEvery   = 6 * time.Second // wrong passwords and registrations of one address, in the long run
	tryBurst   = 20              // and at once
	trySlots   = 1 << 14
	maxHashing = 64 // calls that wait to have a password hashed
)

// doorkeeper makes guessing passwords slow for the one who guesses and cheap for us.
//
// Tries are counted by address (of IPv6, by /64) in a fixed table under a secret
// hash: two addresses may share a place, and a flood of addresses takes no memory.
// Who proves to be right gets the try back, so a site with many agents behind one
// address is not held up. A password that was right before needs neither a try nor
// bcrypt.
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

// try takes one try of an address, or answers 429.
func (d *doorkeeper) try(from netip.Addr, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := &d.tries[d.slot(from)]
	if slot.Before(now) {
		*slot = now
	}
	if wait := slot.Add(tryEvery).Sub(now) - tryBurst*tryEvery; wait > 0 {
		return &failure{status: http.StatusTooManyRequests, text: "too many attempts, try again later", wait: wait}
	}
	*slot = slot.Add(tryEvery)
	return nil
}

// forgive gives a try back.
func (d *doorkeeper) forgive(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := &d.tries[d.slot(from)]
	*slot = slot.Add(-tryEvery)
}

func (d *doorkeeper) slot(from netip.Addr) int {
	if from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			from = p.Addr()
		}
	}
	return int(maphash.Comparable(d.seed, from) % trySlots)
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

// check compares a password with a row's hash, and tells the keyed hash by which it
// will be known as right.
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
