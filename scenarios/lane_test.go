package scenarios_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

// TestMemoryLane reads two logs of the same hour one after the other. Each fits its
// bucket as long as they do not share one, which would have seen the end of the
// hour before it saw the beginning again.
func TestMemoryLane(t *testing.T) {
	s := leaky(t, "a", "capacity: 5\nleakspeed: 10s\n")
	for _, lanes := range [][2]string{{"a.log", "b.log"}, {"", "b.log"}, {"", ""}} {
		overflows := 0
		m := scenarios.NewMemory(scenarios.MemoryOptions{Now: clock(start.Add(time.Hour)),
			Overflow: func(o *scenarios.Overflow) { overflows++ }})
		for _, lane := range lanes {
			for i := range 25 {
				d := bucketstest.Drop(s, "192.0.2.1", i, start.Add(time.Duration(i)*time.Minute), false)
				d.Lane = lane
				m.Pour([]scenarios.Drop{d})
			}
		}
		if together := lanes[0] == lanes[1]; (overflows > 0) != together {
			t.Errorf("lanes %q: %d overflows", lanes, overflows)
		}
	}
}
