package engine_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/scenarios"
)

// BenchmarkLine is a replayed line that a scenario takes: through the engine, and
// for what parsers and scenarios take of it, by themselves on one event. The
// difference is the engine's own.
func BenchmarkLine(b *testing.B) {
	at := time.Date(2024, 4, 10, 14, 30, 0, 0, time.UTC)
	for name, text := range map[string]string{
		"poured":  failed(at, "192.0.2.7"),
		"ignored": at.Format(time.RFC3339) + " host sshd[1]: Invalid user bob from 192.0.2.7 port 4242",
	} {
		// All are of one instant: every sixth overflows, and after the first one into the
		// blackhole.
		r := newRig(b, parts{scenarios: bruteforce, replay: true})
		l := r.line(text)
		b.Run(name+"/engine", func(b *testing.B) {
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				r.Line(l)
			}
		})
		b.Run(name+"/parts", func(b *testing.B) {
			var ev event.Event
			var drops []scenarios.Drop
			b.ReportAllocs()
			defer testkit.CPU(b)()
			for b.Loop() {
				ev.Reset()
				ev.Line, ev.ExpectMode = l, event.Replay
				r.Pipeline.Parse(&ev)
				if drops = r.rules.Drops(&ev, scenarios.Whole, at, drops[:0]); len(drops) > 0 {
					for i := range drops {
						drops[i].Replay, drops[i].Count = true, 1
					}
					r.buckets.Pour(drops)
				}
			}
		})
	}
}
