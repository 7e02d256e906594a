package scenarios_test

import (
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func TestMemoryConformance(t *testing.T) {
	bucketstest.Run(t, func(t *testing.T, sink func(*scenarios.Overflow)) (scenarios.Buckets, func()) {
		m := scenarios.NewMemory(scenarios.MemoryOptions{Overflow: sink, MaxBuckets: 4096, SampleBytes: 1 << 20})
		return m, func() {}
	})
}
