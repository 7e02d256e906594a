package scenarios_test

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/scenarios"
)

func openMemory(_ *testing.T, now func() time.Time, sink func(*scenarios.Overflow)) (bucketstest.Buckets, func()) {
	m := scenarios.NewMemory(scenarios.MemoryOptions{Now: now, Overflow: sink, MaxBuckets: 4096, SampleBytes: 1 << 20})
	return m, func() {}
}

func TestMemoryConformance(t *testing.T) { bucketstest.Run(t, openMemory) }

func TestMemoryConfigurations(t *testing.T) { bucketstest.Configurations(t, openMemory) }

func TestMemoryConcurrent(t *testing.T) { bucketstest.Concurrent(t, openMemory) }

func TestMemoryMixed(t *testing.T) { bucketstest.Mixed(t, openMemory) }
