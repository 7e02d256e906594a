package decisions_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// late is how long after an end that was told before something may be told again.
const late = 2 * time.Second

// client is a subscriber of journal and lists as bouncers are: it polls now and then,
// keeps what it is told until the end that it was told, and over a restart knows only
// when it polled last.
type client struct {
	t *testing.T
	// dull: takes no notice of what it has already. typed: tells types apart, and
	// leaves out what is Shadowed. Otherwise it forgets all of a value at once.
	dull, typed bool

	held           map[string]time.Time // ends
	forgot         map[string]time.Time // ends that it came to by itself
	run            int
	journal, lists int64
	at             time.Time
}

func newClient(t *testing.T, kind int) *client {
	return &client{t: t, dull: kind == 1, typed: kind == 2, held: map[string]time.Time{}, forgot: map[string]time.Time{}}
}

func (c *client) key(value, kind string) string {
	if c.typed {
		return value + " " + kind
	}
	return value
}

func (c *client) learn(key string, until, now time.Time) {
	if _, has := c.held[key]; !until.After(now) || has && c.dull {
		return
	}
	c.held[key] = until
}

// poll takes in what there is: first what ended, then what is in force.
func (c *client) poll(d *desk, run int) {
	now := d.clock.Now()
	for key, until := range c.held {
		if !until.After(now) {
			delete(c.held, key)
			c.forgot[key] = until
		}
	}
	if c.run != run && !c.at.IsZero() {
		c.journal, c.lists = d.CursorAt(c.at), d.ListsCursorAt(c.at)
	}
	c.run, c.at = run, now
	var changes []decisions.Change
	for {
		page, next := d.Since(c.journal, 5)
		changes = append(changes, page...)
		if c.journal = next; len(page) == 0 {
			break
		}
	}
	changes = slices.DeleteFunc(changes, func(ch decisions.Change) bool { return ch.Decision.Simulated || c.typed && ch.Shadowed })
	lists, next := d.ListsSince(c.lists)
	c.lists = next
	for i := range changes {
		if ch := &changes[i]; ch.Reset {
			c.t.Fatalf("a reset, although nothing is forgotten")
		} else if ch.Gone {
			delete(c.held, c.key(ch.Decision.Value, ch.Decision.Type))
		}
	}
	for i := range lists {
		if lists[i].Reset {
			c.t.Fatalf("a reset of lists, although nothing is forgotten")
		}
		for _, p := range lists[i].Removed {
			delete(c.held, c.key(valueOf(p), lists[i].Type))
		}
	}
	for i := range changes {
		if ch := &changes[i]; !ch.Gone {
			c.learn(c.key(ch.Decision.Value, ch.Decision.Type), ch.Decision.Until, now)
		}
	}
	for i := range lists {
		l := &lists[i]
		added := l.Added
		if l.Whole {
			added = slices.DeleteFunc(slices.Collect(l.List.All()), d.allow.Covers)
		}
		for _, p := range added {
			c.learn(c.key(valueOf(p), l.Type), l.List.Until, now)
		}
	}
}

func valueOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// check compares what the client has with what is in force.
func (c *client) check(d *desk) {
	c.t.Helper()
	now := d.clock.Now()
	want := map[string]bool{}
	no := false
	for _, x := range d.List(decisions.Filter{Active: true, Simulated: &no}) {
		want[c.key(x.Value, x.Type)] = true
	}
	for _, l := range d.Lists() {
		for p := range l.All() {
			if !l.Simulated && l.Until.After(now) && !d.allow.Covers(p) {
				want[c.key(valueOf(p), l.Type)] = true
			}
		}
	}
	for key := range want {
		if _, ok := c.held[key]; !ok && !c.forgot[key].After(now.Add(-late)) {
			c.t.Fatalf("at %s dull %v, typed %v: %s is in force and not known", now.Format(time.TimeOnly), c.dull, c.typed, key)
		}
	}
	for key := range c.held {
		if !want[key] {
			c.t.Fatalf("at %s dull %v, typed %v: %s is not in force and known", now.Format(time.TimeOnly), c.dull, c.typed, key)
		}
	}
}

// world does random things.
type world struct {
	*desk
	r   *rand.Rand
	run int
}

func (w *world) prefix() netip.Prefix {
	if w.r.IntN(5) == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(64 * w.r.IntN(2))}), 26)
	}
	if w.r.IntN(8) == 0 {
		return netip.MustParsePrefix("2001:db8::/64")
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(w.r.IntN(8))}), 32)
}

func (w *world) until() time.Time {
	return w.clock.Now().Add(time.Duration(1+w.r.IntN(60_000)) * time.Millisecond)
}

func (w *world) step() {
	switch w.r.IntN(20) {
	case 0:
		_, err := w.Delete(decisions.Filter{Value: valueOf(w.prefix())}, "test")
		must(w.t, err)
	case 1:
		if all := w.List(decisions.Filter{Active: true}); len(all) > 0 {
			_, err := w.Delete(decisions.Filter{ID: all[w.r.IntN(len(all))].ID}, "test")
			must(w.t, err)
		}
	case 2:
		e := decisions.AllowEntry{Prefix: w.prefix()}
		if w.r.IntN(2) == 0 {
			e.Until = w.until()
		}
		must(w.t, w.allow.Add(e))
	case 3, 4:
		for _, e := range w.allow.List() {
			if e.Kind == decisions.KindManual && w.r.IntN(2) == 0 {
				must(w.t, w.allow.Remove(e.Prefix))
			}
		}
	case 5, 6, 7:
		w.list()
	case 8:
		for _, l := range w.Lists() {
			if w.r.IntN(3) == 0 {
				must(w.t, w.DropList(l.Name))
			}
		}
	case 9:
		simulated := w.r.IntN(3)
		must(w.t, w.SimulateLists(func(name string) bool { return name == fmt.Sprint("list", simulated) }))
	case 10:
		w.restart()
		w.run++
	default:
		w.decide()
	}
}

func (w *world) list() {
	var ps []netip.Prefix
	for range w.r.IntN(10) {
		ps = append(ps, w.prefix())
	}
	h := decisions.ListHead{Name: fmt.Sprint("list", w.r.IntN(2)), Type: "ban", Created: w.clock.Now(), Until: w.until()}
	if w.r.IntN(8) == 0 {
		h.Type = "captcha"
	}
	if w.r.IntN(4) == 0 {
		h.From = "CAPI"
	}
	if w.r.IntN(3) > 0 { // the list as it was goes on, or most of it
		for _, l := range w.Lists() {
			if l.Name == h.Name {
				h.Type, h.From = l.Type, l.From
				ps = append(slices.Collect(l.All()), ps[:min(1, len(ps))]...)
			}
		}
	}
	must(w.t, w.PutList(newList(w.t, h, ps)))
}

// decide makes or prolongs a decision.
func (w *world) decide() {
	must(w.t, w.Append(nil, []decisions.Decision{{Value: valueOf(w.prefix()), Type: []string{"ban", "ban", "captcha"}[w.r.IntN(3)],
		Scenario: fmt.Sprint(w.r.IntN(2)), Origin: "crowdsec", Until: w.until(), Simulated: w.r.IntN(8) == 0}}))
}

// TestClientsKnow: whoever follows journal and lists in whatever way ends with what is
// in force, also over restarts.
func TestClientsKnow(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{desk: openDesk(t, decisions.BookOptions{}), r: rand.New(rand.NewPCG(seed, 7))}
			clients := map[int]*client{}
			for range 300 {
				w.step()
				if w.r.IntN(2) == 0 {
					w.clock.Advance(time.Duration(w.r.IntN(6000)) * time.Millisecond)
				}
				if w.r.IntN(3) > 0 {
					continue
				}
				w.Expire(w.clock.Now())
				for _, i := range slices.Sorted(maps.Keys(clients)) {
					if w.r.IntN(2) == 0 {
						clients[i].poll(w.desk, w.run)
						clients[i].check(w.desk)
					}
				}
				if w.r.IntN(5) == 0 {
					i := w.r.IntN(9)
					clients[i] = newClient(t, i%3)
					clients[i].poll(w.desk, w.run)
					clients[i].check(w.desk)
				}
			}
		})
	}
}
