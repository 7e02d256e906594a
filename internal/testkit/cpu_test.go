package testkit

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkMemory reads one word after the other out of 64 MiB, each of which says
// where the next is: what a line of memory costs that is in no cache of this
// machine, now. Figures of cold tables mean little without it.
func BenchmarkMemory(b *testing.B) {
	lines := make([][8]uint64, 1<<20)
	order := rand.Perm(len(lines))
	for i, at := range order {
		lines[at][0] = uint64(order[(i+1)%len(order)])
	}
	at := uint64(0)
	defer CPU(b)()
	for b.Loop() {
		at = lines[at][0]
	}
	if lines[at][1] != 0 { // never; it keeps the loop
		b.Fatal(at)
	}
}
