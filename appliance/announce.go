package appliance

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// mostAnnounced is how many alerts may wait to be told of.
const mostAnnounced = 4096

// announced is an alert that this node has recorded, from its own engine, an agent or
// an operator. Nobody changes it any more.
type announced struct {
	alert     *event.Alert
	decisions []decisions.Decision
	notified  []string
}

// announcer carries recorded alerts to those who tell others of them: receivers of
// notifications and the Central API. Who records an alert never waits for it.
type announcer struct {
	x       *exchange
	queue   chan announced
	dropped atomic.Int64
}

func newAnnouncer(x *exchange) *announcer {
	return &announcer{x: x, queue: make(chan announced, mostAnnounced)}
}

// recorded is told of each alert that this node has recorded.
func (st *state) recorded(a *event.Alert, ds []decisions.Decision, matched []decisions.Match) {
	var names []string
	for _, m := range matched {
		names = append(names, m.Notifications...)
	}
	slices.Sort(names)
	select {
	case st.exchange.announcer.queue <- announced{a, ds, slices.Compact(names)}:
	default:
		st.exchange.announcer.dropped.Add(1)
	}
}

// run tells of alerts until ctx ends, and of those that wait by then.
func (n *announcer) run(ctx context.Context) {
	for {
		select {
		case one := <-n.queue:
			n.tell(&one)
			continue
		case <-ctx.Done():
		}
		break
	}
	for {
		select {
		case one := <-n.queue:
			n.tell(&one)
		default:
			return
		}
	}
}

func (n *announcer) tell(one *announced) {
	n.x.notifier.Notify(one.alert, one.notified)
	n.x.community.Offer(one.alert, one.decisions)
}

// announce tells of what was decided here by an operator, or about a range. Profiles say who is notified; what
// else they would decide does not count.
func (l *live) announce(a *event.Alert, ds []decisions.Decision) {
	j, err := l.settings.profiles.Judge(a, time.Now())
	if err != nil {
		l.settings.log.Error("running profiles", zap.String("scenario", a.Scenario), zap.Error(err))
	}
	l.state.recorded(a, ds, j.Matched)
}
