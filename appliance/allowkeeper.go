package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/resolver"
)

const (
	// How often items are looked for, and looked up. The resolver tells no TTL, so that
	// names have a fixed time.
	allowLook    = 5 * time.Second
	namesEvery   = 5 * time.Minute
	urlsEvery    = time.Hour
	retryMin     = time.Minute
	retryMax     = time.Hour
	fetchTimeout = time.Minute
	// maxAllowProblems is how many items that cannot be looked up are named.
	maxAllowProblems = 10
)

// AllowSourceStatus is how an item of an allowlist stands that has to be looked up.
type AllowSourceStatus struct {
	decisions.AllowSource
	// Checked is the last attempt, Good the last that was taken over; zero: none since
	// the start. Next is the next attempt.
	Checked time.Time `json:"checked,omitzero"`
	Good    time.Time `json:"good,omitzero"`
	Next    time.Time `json:"next,omitzero"`
	// Problem is why the last attempt was not taken over: what was there before holds.
	Problem string `json:"problem,omitempty"`
}

// allowKeeper looks up the host names and URLs of allowlists, one after the other, in
// run alone: no request waits for it, and where there is no such item, nobody is asked.
// Every node of a fleet looks up for itself.
type allowKeeper struct {
	allow   *decisions.Allow
	fetch   func(ctx context.Context, url string, seen community.Validators) (ps []netip.Prefix, now community.Validators, err error)
	changed func() // is told when more or less is allowed
	now     func() time.Time
	logger  *zap.Logger
	wake    chan struct{}

	mu    sync.Mutex
	asks  ResolverConfig                    // what names asks
	names *resolver.Resolver                // nil: the DNS is not to be asked
	items map[decisions.AllowSource]*lookup // by list and item
}

func newAllowKeeper(allow *decisions.Allow, changed func(), log *zap.Logger) *allowKeeper {
	return &allowKeeper{allow: allow, fetch: fetchAllowed(community.NewFetcher("rampart/"+version(), time.Now)), changed: changed, now: time.Now,
		logger: log, wake: make(chan struct{}, 1), asks: ResolverConfig{Off: true}}
}

// use says whom to ask for names.
func (k *allowKeeper) use(c ResolverConfig) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Off == k.asks.Off && c.Timeout == k.asks.Timeout && c.equal(k.asks) {
		return
	}
	k.asks, k.names = c, nil
	o, err := c.options()
	if err != nil || c.Off { // the error is that of the configuration, and told there
		return
	}
	o.TTL, o.NegativeTTL = retryMin, retryMin
	k.names = resolver.New(o)
	for _, l := range k.items {
		l.next = time.Time{}
	}
	k.look()
}

// lookup is what is known of an item.
type lookup struct {
	checked, good, next time.Time
	problem             string
	seen                community.Validators
	fails               int
}

// look says that an item may be new.
func (k *allowKeeper) look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run looks up what is due until ctx ends.
func (k *allowKeeper) run(ctx context.Context) {
	tick := time.NewTicker(allowLook)
	defer tick.Stop()
	for {
		k.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-tick.C:
		}
	}
}

// round looks up what is due.
func (k *allowKeeper) round(ctx context.Context) {
	for _, s := range k.due() {
		if ctx.Err() != nil {
			return
		}
		k.lookUp(ctx, s)
	}
}

// due returns the items whose time has come, and forgets those that went.
func (k *allowKeeper) due() (out []decisions.AllowSource) {
	sources := k.allow.Sources()
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[decisions.AllowSource]*lookup, len(sources))
	for _, s := range sources {
		key := decisions.AllowSource{List: s.List, Item: s.Item}
		l := k.items[key]
		if l == nil {
			l = &lookup{}
		}
		if s.Prefixes == 0 { // removed and added again, maybe
			l.seen = community.Validators{}
		}
		next[key] = l
		if !k.now().Before(l.next) {
			out = append(out, s)
		}
	}
	k.items = next
	return out
}

// lookUp looks one item up.
func (k *allowKeeper) lookUp(ctx context.Context, s decisions.AllowSource) {
	key := decisions.AllowSource{List: s.List, Item: s.Item}
	k.mu.Lock()
	l := k.items[key]
	seen := l.seen
	k.mu.Unlock()
	every := namesEvery
	var ps []netip.Prefix
	var err error
	if decisions.IsURL(s.Item) {
		every = urlsEvery
		ps, seen, err = k.fetch(ctx, s.Item, seen)
	} else {
		ps, err = k.resolve(ctx, s.Item)
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil && ps != nil { // nil: as before
		if err = k.allow.Resolve(s.List, s.Item, ps); err == nil {
			k.changed()
		}
	}
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	l.checked = now
	if err == nil {
		if l.problem != "" {
			k.logger.Info("an item of an allowlist is looked up again", zap.String("item", s.Item))
		}
		l.good, l.next, l.problem, l.seen, l.fails = now, now.Add(every), "", seen, 0
		return
	}
	if l.problem != err.Error() {
		k.logger.Warn("looking up an item of an allowlist; what it stood for before holds",
			zap.String("list", s.List), zap.String("item", s.Item), zap.Int("prefixes", s.Prefixes), zap.Error(err))
	}
	l.problem = err.Error()
	l.next = now.Add(min(retryMin<<min(l.fails, 10), retryMax, every))
	l.fails++
}

// resolve asks the DNS for a name.
func (k *allowKeeper) resolve(ctx context.Context, host string) ([]netip.Prefix, error) {
	k.mu.Lock()
	names := k.names
	k.mu.Unlock()
	if names == nil {
		return nil, fmt.Errorf("looking up %s: the resolver is off", host)
	}
	asked := host
	if strings.Contains(host, ".") {
		asked += "." // it is the whole name, whatever the machine's own domain is
	}
	addrs, ok := names.Forward(ctx, asked)
	if !ok {
		return nil, fmt.Errorf("looking up %s: the DNS gave no answer", host)
	}
	ps := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		ps = append(ps, netip.PrefixFrom(a, a.BitLen()))
	}
	slices.SortFunc(ps, netip.Prefix.Compare)
	return ps, nil
}

// status tells how the items stand, by list and item.
func (k *allowKeeper) status() []AllowSourceStatus {
	sources := k.allow.Sources()
	out := make([]AllowSourceStatus, 0, len(sources))
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range sources {
		one := AllowSourceStatus{AllowSource: s}
		if l := k.items[decisions.AllowSource{List: s.List, Item: s.Item}]; l != nil {
			one.Checked, one.Good, one.Next, one.Problem = l.checked, l.good, l.next, l.problem
		}
		out = append(out, one)
	}
	return out
}

// problems are what an operator should look at, in words; of many the first ten.
func (k *allowKeeper) problems() (out []string) {
	for _, s := range k.status() {
		if s.Problem == "" || len(out) >= maxAllowProblems {
			continue
		}
		out = append(out, fmt.Sprintf("%s of allowlist %s cannot be looked up (%s); it stands for %d networks, as before",
			s.Item, s.List, s.Problem, s.Prefixes))
	}
	return out
}
