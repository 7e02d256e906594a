package resolver

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rampart-edge/rampart/cache"
)

// CrowdSec compatible: how much is kept, and how long.
const (
	defaultSize     = 16384
	defaultTTL      = time.Hour
	defaultNegative = 5 * time.Minute
	defaultTimeout  = 3 * time.Second
	// defaultConcurrent is ours: the original bounds nothing.
	defaultConcurrent = 64
	// maxAnswer bounds what is kept of one answer.
	maxAnswer = 64
)

// Options for New. All may be left out.
type Options struct {
	Size        int           // answers kept, 0: 16,384
	TTL         time.Duration // of answers, 0: 1 h
	NegativeTTL time.Duration // of failures, 0: 5 min
	Timeout     time.Duration // of one question, 0: 3 s
	Concurrent  int           // questions open at a time, 0: 64

	// LookupAddr and LookupNetIP ask; nil: those of net.DefaultResolver.
	LookupAddr  func(ctx context.Context, addr string) ([]string, error)
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)
	Now         func() time.Time // nil: time.Now
}

// Resolver asks and remembers.
type Resolver struct {
	options Options
	answers *cache.Cache[answer]

	mu    sync.Mutex
	open  map[string]*question
	stats Stats
}

// Inherit has r remember what before remembers, from now on together. Call it before
// r is asked anything; both must ask the same servers, and keep equally much.
func (r *Resolver) Inherit(before *Resolver) { r.answers = before.answers }

// answer is what the DNS said; empty is a failure.
type answer struct {
	names []string
	addrs []netip.Addr
}

func (a answer) empty() bool { return len(a.names)+len(a.addrs) == 0 }

// question is one being asked.
type question struct {
	done   chan struct{} // closed when answer stands
	answer answer
	// given up: who asked went away before there was an answer.
	givenUp bool
}

// Stats counts since New.
type Stats struct {
	Kept    uint64 // answered from memory
	Asked   uint64 // put to the DNS
	Failed  uint64 // of these, without an answer
	Refused uint64 // not asked: too many were open
}

// New returns a Resolver that knows nothing yet.
func New(o Options) *Resolver {
	o.Size = or(o.Size, defaultSize)
	o.TTL = or(o.TTL, defaultTTL)
	o.NegativeTTL = or(o.NegativeTTL, defaultNegative)
	o.Timeout = or(o.Timeout, defaultTimeout)
	o.Concurrent = or(o.Concurrent, defaultConcurrent)
	if o.LookupAddr == nil {
		o.LookupAddr = net.DefaultResolver.LookupAddr
	}
	if o.LookupNetIP == nil {
		o.LookupNetIP = net.DefaultResolver.LookupNetIP
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Resolver{options: o, open: map[string]*question{}, answers: cache.New[answer](o.Size, o.TTL, "LRU", o.Now)}
}

func or[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// Reverse returns the first name of an address, with the dot at its end as the DNS
// has it; false where there is none, where asking failed or was refused, and where
// ctx ended first.
func (r *Resolver) Reverse(ctx context.Context, addr netip.Addr) (string, bool) {
	names := r.names(ctx, addr)
	if len(names) == 0 {
		return "", false
	}
	return names[0], true
}

// Forward returns the addresses of a name, IPv4 as such; false as for Reverse. The
// caller must not change the list.
func (r *Resolver) Forward(ctx context.Context, host string) ([]netip.Addr, bool) {
	if host == "" {
		return nil, false
	}
	a := r.ask(ctx, "f "+host, func(ctx context.Context) answer {
		addrs, _ := r.options.LookupNetIP(ctx, "ip", host)
		for i, a := range addrs {
			addrs[i] = a.Unmap()
		}
		return answer{addrs: addrs[:min(len(addrs), maxAnswer)]}
	})
	return a.addrs, len(a.addrs) > 0
}

// Confirmed returns the names of an address that lead back to it, with the dot at
// their end. Whoever owns an address can give it any name; only the owner of the
// name can lead it back.
func (r *Resolver) Confirmed(ctx context.Context, addr netip.Addr) []string {
	var confirmed []string
	addr = plain(addr)
	for _, name := range r.names(ctx, addr) {
		if addrs, ok := r.Forward(ctx, name); ok && slices.Contains(addrs, addr) {
			confirmed = append(confirmed, name)
		}
	}
	return confirmed
}

func (r *Resolver) names(ctx context.Context, addr netip.Addr) []string {
	if !addr.IsValid() {
		return nil
	}
	text := plain(addr).String()
	return r.ask(ctx, "r "+text, func(ctx context.Context) answer {
		names, _ := r.options.LookupAddr(ctx, text)
		return answer{names: names[:min(len(names), maxAnswer)]}
	}).names
}

// plain is the address that stands in the DNS: IPv4 as such, no zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Stats returns the counts.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// ask returns what is kept under key, else what the one who asks gets.
func (r *Resolver) ask(ctx context.Context, key string, lookup func(context.Context) answer) answer {
	for ctx.Err() == nil {
		r.mu.Lock()
		if a, ok := r.answers.Get(key); ok {
			r.stats.Kept++
			r.mu.Unlock()
			return a
		}
		if q := r.open[key]; q != nil {
			r.mu.Unlock()
			select {
			case <-q.done:
			case <-ctx.Done():
				return answer{}
			}
			if !q.givenUp {
				return q.answer
			}
			continue // it is ours to ask now
		}
		if len(r.open) >= r.options.Concurrent {
			r.stats.Refused++
			r.mu.Unlock()
			return answer{}
		}
		q := &question{done: make(chan struct{})}
		r.open[key] = q
		r.stats.Asked++
		r.mu.Unlock()
		r.put(ctx, key, q, lookup)
		return q.answer
	}
	return answer{}
}

// put asks the DNS and keeps what it says. A caller that goes away learns nothing,
// which is no failure of the name.
func (r *Resolver) put(ctx context.Context, key string, q *question, lookup func(context.Context) answer) {
	var a answer
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, key)
		switch {
		case !a.empty(): // an error beside it says that some of it was malformed
			q.answer = a
			r.answers.Put(key, a)
		case ctx.Err() != nil:
			q.givenUp = true
		default:
			r.stats.Failed++
			r.answers.PutFor(key, answer{}, r.options.NegativeTTL)
		}
		close(q.done)
	}()
	limited, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	a = lookup(limited)
}
