package journaltest

import "github.com/rampart-edge/rampart/decisions"

// Follower does what a subscriber has to do, and ends with what is in force.
type Follower struct {
	Cursor int64
	All    map[int64]decisions.Decision
}

// Follow takes in what there is, in pages of a few changes.
func (f *Follower) Follow(j interface {
	Since(cursor int64, limit int) ([]decisions.Change, int64)
}) {
	if f.All == nil {
		f.All = map[int64]decisions.Decision{}
	}
	for {
		cs, next := j.Since(f.Cursor, 7)
		for _, c := range cs {
			switch {
			case c.Reset:
				clear(f.All)
			case c.Gone:
				delete(f.All, c.Decision.ID)
			default:
				f.All[c.Decision.ID] = c.Decision
			}
		}
		if f.Cursor = next; len(cs) == 0 {
			return
		}
	}
}
