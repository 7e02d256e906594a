package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/localapi"
	"github.com/rampart-edge/rampart/notify"
)

const (
	// pullLease and listLease are those of the nodes which fetch lists for their fleet, from
	// the Central API and from URLs.
	pullLease = "pull"
	listLease = "lists"
	// aggregateLease is that of the node which bans ranges for its fleet.
	aggregateLease = "aggregate"
)

// exchange is what a node gives to others of its alerts, and takes from them as lists.
type exchange struct {
	announcer  *announcer
	notifier   *notify.Notifier
	community  *community.Client
	feeds      *community.Feeds
	aggregator *decisions.Aggregator
	usage      usageSent
	// problem is why the configuration of the Central API or of lists is not in force.
	problem atomic.Pointer[string]

	announcing, sharing         sync.WaitGroup
	stopAnnouncing, stopSharing context.CancelFunc
}

// openExchange makes what is there with every configuration; it does nothing yet.
func (st *state) openExchange(s *Settings) (err error) {
	x := &st.exchange
	x.usage.at = map[string]time.Time{}
	x.announcer = newAnnouncer(x)
	x.notifier = notify.New(notify.Options{Now: time.Now, Logger: s.log.Named("notify")})
	o := community.Options{Book: st.book, DB: st.db, Roster: st.roster, Usage: st.usageReport, Version: version(), Now: time.Now, Logger: s.log.Named("community")}
	if st.fleet != nil {
		o.Lists, o.Shared = st.fleet.journal, st.fleet.tables
	}
	o.Leads = st.leads(pullLease, func(*live) bool { return x.community.Wants() })
	if x.community, err = community.New(o); err != nil {
		return fmt.Errorf("opening the client of the Central API: %w", err)
	}
	o.Leads = st.leads(listLease, func(*live) bool { return x.feeds.Wants() })
	if x.feeds, err = community.NewFeeds(o); err != nil {
		return fmt.Errorf("opening lists from elsewhere: %w", err)
	}
	x.aggregator, err = decisions.OpenAggregator(decisions.AggregateOptions{Book: st.book, DB: st.db, Append: st.recordRange,
		Leads: st.leads(aggregateLease, func(l *live) bool { return l.settings.aggregate != nil }), Now: time.Now, Logger: s.log.Named("aggregate")})
	return err
}

// leads reports whether this node does what one node of a fleet does, of those that want
// to under their configuration. wants is asked when all is open.
func (st *state) leads(lease string, wants func(*live) bool) func() bool {
	if st.fleet == nil {
		return func() bool { return true }
	}
	return st.fleet.client.LeaseWhile(lease, func() bool {
		l := st.live()
		return l != nil && wants(l)
	}).Held
}

// recordRange writes down that a range is banned, and tells of it.
func (st *state) recordRange(a *event.Alert, ds []decisions.Decision) error {
	if err := st.book.Append(a, ds); err != nil {
		return err
	}
	if l := st.live(); l != nil {
		l.announce(a, ds)
	}
	return nil
}

// start begins to tell others what is recorded here.
func (x *exchange) start() {
	var ctx, sharing context.Context
	ctx, x.stopAnnouncing = context.WithCancel(context.Background())
	sharing, x.stopSharing = context.WithCancel(context.Background())
	x.announcing.Go(func() { x.announcer.run(ctx) })
	x.sharing.Go(func() { x.community.Run(sharing) })
}

// close tells of what was recorded last. The context bounds how long receivers of
// notifications are waited for; what the Central API has not heard stays on disk.
func (x *exchange) close(ctx context.Context) error {
	x.stopAnnouncing()
	x.announcing.Wait()
	x.stopSharing()
	x.sharing.Wait()
	return x.notifier.Close(ctx)
}

// useExchange puts what s says in force. What cannot be stays as it was, and status
// says so.
func (st *state) useExchange(s *Settings) {
	x := &st.exchange
	x.notifier.Use(s.receivers)
	x.aggregator.Use(s.aggregate)
	if err := errors.Join(x.community.Use(s.community), x.feeds.Use(s.feeds)); err != nil {
		text := err.Error()
		x.problem.Store(&text)
		s.log.Error("lists and signals go on as they were configured before", zap.Error(err))
		return
	}
	x.problem.Store(nil)
}

// usageSent is when the usage metrics were made that the Central API has, by reporter.
type usageSent struct {
	mu sync.Mutex
	at map[string]time.Time
}

// usageReport is what reporters have told since the last report.
func (st *state) usageReport() (body json.RawMessage, sent func()) {
	u := &st.exchange.usage
	var lists [2][]json.RawMessage // machines, bouncers
	next, fresh := map[string]time.Time{}, false
	u.mu.Lock()
	for _, one := range st.api.registry.Usage() {
		key := one.Kind + "/" + one.Name
		next[key] = u.at[key]
		if len(one.Element) == 0 || !one.At.After(u.at[key]) {
			continue
		}
		next[key], fresh = one.At, true
		i := 0
		if one.Kind == "bouncer" {
			i = 1
		}
		lists[i] = append(lists[i], bytes.Clone(one.Element))
	}
	u.mu.Unlock()
	if !fresh {
		return nil, nil
	}
	body, err := json.Marshal(map[string]any{"log_processors": lists[0], "remediation_components": lists[1]})
	if err != nil { // an element that is no JSON
		return nil, nil
	}
	return body, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.at = next
	}
}

// roster is who is connected to the node, and what runs here.
func (st *state) roster() community.Roster {
	var r community.Roster
	if l := st.live(); l != nil {
		for _, sc := range l.settings.rules.All() {
			r.Scenarios = append(r.Scenarios, sc.Name)
		}
	}
	for _, m := range st.api.registry.Machines() {
		r.Machines = append(r.Machines, community.Machine{Name: m.Name, Version: m.Version, LastPush: m.LastPush, LastUpdate: m.LastHeartbeat})
		r.Scenarios = append(r.Scenarios, m.Scenarios...)
	}
	for _, b := range st.api.registry.Bouncers() {
		r.Bouncers = append(r.Bouncers, community.Bouncer{Name: b.Name, Type: b.Type, Version: b.Version, LastPull: b.LastPull})
	}
	return r
}

var _ localapi.Store = (*cluster.Tables)(nil)
