package notify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
)

// Options of a Notifier; both may be left out.
type Options struct {
	Now    func() time.Time
	Logger *zap.Logger
}

// Notifier sends alerts to the receivers in use. Close it.
type Notifier struct {
	o       Options
	mu      sync.RWMutex
	workers map[string]*worker
	leaving []*worker // of receivers that are in use no more
	closed  bool
}

// New returns a Notifier without receivers.
func New(o Options) *Notifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Notifier{o: o, workers: map[string]*worker{}}
}

// Use makes these the receivers, instead of those before; nil are none. What waits for
// a receiver whose name stays, stays, and its figures too; an unchanged one also
// keeps its connections. What waits for the others is dropped and logged. It does
// not wait for anybody.
func (n *Notifier) Use(rs *Receivers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.leaving = slices.DeleteFunc(n.leaving, (*worker).over)
	var wanted map[string]*receiver
	if rs != nil {
		wanted = rs.byName
	}
	for name, w := range n.workers {
		if wanted[name] == nil {
			w.stop()
			n.leaving = append(n.leaving, w)
			delete(n.workers, name)
		}
	}
	for name, r := range wanted {
		if w := n.workers[name]; w != nil {
			w.use(r)
			continue
		}
		n.workers[name] = n.start(name, r)
	}
}

func (n *Notifier) start(name string, r *receiver) *worker {
	ctx, stop := context.WithCancel(context.Background())
	w := &worker{name: name, queue: newQueue(name), now: n.o.Now, stop: stop, ended: make(chan struct{}),
		logger: n.o.Logger.With(zap.String("receiver", name))}
	w.use(r)
	go w.run(ctx)
	return w
}

func (w *worker) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// Notify gives an alert to the receivers of these names, to each once. It never
// waits: where there is no room the alert is dropped and counted. Names that are
// not in use are passed over; whoever names receivers checks them against
// Receivers.Names when it starts. The alert may change afterwards.
func (n *Notifier) Notify(a *event.Alert, names []string) {
	if len(names) == 0 {
		return
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	var copied *Alert // shared by the receivers, changed by none
	for i, name := range names {
		w := n.workers[name]
		if w == nil || slices.Contains(names[:i], name) {
			continue
		}
		if copied == nil {
			copied = newAlert(a)
		}
		w.add(copied)
	}
}

func (w *worker) add(a *Alert) {
	v := w.queue.add(&w.current.Load().rule, a, w.now())
	if v.kept {
		return
	}
	w.figures.note(func(s *Stats) { s.Dropped++ })
	if v.filled {
		w.log().Warn("the queue is full, alerts are dropped until there is room", zap.Int("room", maxWaiting))
	}
}

// Test sends a harmless sample through the receiver's template, once and at once,
// past its queue and rate. The error says what became of it.
func (n *Notifier) Test(ctx context.Context, name string) error {
	n.mu.RLock()
	w := n.workers[name]
	names := slices.Sorted(maps.Keys(n.workers))
	n.mu.RUnlock()
	if w == nil {
		if len(names) == 0 {
			return fmt.Errorf("no receiver is named %q: there are none", name)
		}
		return fmt.Errorf("no receiver is named %q: there are %s", name, strings.Join(names, ", "))
	}
	r := w.current.Load()
	text, err := r.text(&message{alerts: []*Alert{sample(n.o.Now())}})
	if err == nil && strings.TrimSpace(text) == "" {
		return fmt.Errorf("testing receiver %q: its template makes an empty text of the sample, which is not sent", name)
	}
	if err == nil {
		err = r.send(ctx, text)
	}
	if err != nil {
		w.figures.failed(err, n.o.Now())
		return fmt.Errorf("testing receiver %q: %w", name, err)
	}
	w.figures.sent(n.o.Now())
	return nil
}

// Stats returns those of all receivers in use, sorted by name.
func (n *Notifier) Stats() []Stats {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make([]Stats, 0, len(n.workers))
	for _, name := range slices.Sorted(maps.Keys(n.workers)) {
		w := n.workers[name]
		s := w.figures.get()
		s.Waiting, s.Untold = w.queue.waiting()
		out = append(out, s)
	}
	return out
}

// Close takes no more alerts, sends what waits without waiting for more of it, and
// returns when all goroutines have ended. When ctx ends first, what is left is
// dropped, and the error tells how much.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	n.closed = true
	inUse, leaving := slices.Collect(maps.Values(n.workers)), n.leaving
	n.mu.Unlock()
	for _, w := range inUse {
		w.queue.close()
	}
	lost := 0
	for _, w := range inUse {
		select {
		case <-w.ended:
		case <-ctx.Done():
		}
		w.stop() // ends what ctx left no time for
		<-w.ended
		alerts, _ := w.queue.waiting()
		lost += alerts
	}
	for _, w := range leaving {
		<-w.ended
	}
	if lost > 0 {
		return fmt.Errorf("closing notifications: %d alerts were not sent", lost)
	}
	return nil
}
