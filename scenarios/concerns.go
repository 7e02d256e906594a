package scenarios

import "github.com/rampart-edge/rampart/event"

// Concerns reports whether Drops would pour anything of ev in a phase. False is
// certain. True may be wrong: what changes the event or asks another machine is not
// run to find out, and neither is what comes after a filter.
func (r *Rules) Concerns(ev *event.Event, ph Phase) bool {
	b := r.begin(ev, ph)
	defer r.end(b)
	for n := b.left.next(0); n >= 0; n = b.left.next(n + 1) {
		if !r.index.admits(n, ev) {
			continue
		}
		if r.writes[n] || r.rests[n].Reads().Remote {
			return true
		}
		if ok, err := r.rests[n].Bool(&b.vars); ok || err != nil {
			return true
		}
	}
	return false
}
