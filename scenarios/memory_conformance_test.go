package scenarios_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func TestMemoryConformance(t *testing.T) {
	bucketstest.Run(t, func(t *testing.T, now func() time.Time, sink func(*scenarios.Overflow)) (bucketstest.Buckets, func()) {
		m := scenarios.NewMemory(scenarios.MemoryOptions{Now: now, Overflow: sink, MaxBuckets: 4096, SampleBytes: 1 << 20})
		return m, func() {}
	})
}
