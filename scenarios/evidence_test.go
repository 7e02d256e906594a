package scenarios_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/scenarios"
)

// evidenceKey is the bucket of a number.
func evidenceKey(n int) (key [16]byte) {
	copy(key[:], fmt.Sprint("bucket ", n))
	return key
}

// TestEvidence compares with a list of all samples, of which the newest are there.
func TestEvidence(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	for _, bytes := range []int64{4 << 10, 64 << 10, 1 << 20} {
		e := scenarios.NewEvidence(bytes)
		last, all := map[int]uint32{}, map[int][]scenarios.Kept{}
		found, most := 0, int64(0)
		for i := range 20_000 {
			b := rng.IntN(1 + i/50)
			last[b] += 1 + rng.Uint32N(3)
			k := scenarios.Kept{N: last[b], Sample: []byte(fmt.Sprint(i) + strings.Repeat("x", rng.IntN(300)))}
			e.Put(evidenceKey(b), int64(b%7), k.N, k.Sample)
			all[b] = append(all[b], k)
			if most = max(most, e.Bytes()); most > bytes {
				t.Fatalf("%d bytes of %d", most, bytes)
			}
			upTo, limit := last[b]-min(last[b], rng.Uint32N(4)), 1+rng.IntN(6)
			var want []scenarios.Kept
			for _, k := range all[b] {
				if k.N <= upTo {
					want = append(want, k)
				}
			}
			want = want[max(0, len(want)-limit):]
			got := e.Newest(evidenceKey(b), int64(b%7), upTo, limit)
			if len(got) > len(want) {
				t.Fatalf("%d samples, at most %d there can be", len(got), len(want))
			}
			// Only the oldest may be missing; the newest was put just now.
			same := func(a, b scenarios.Kept) bool { return a.N == b.N && string(a.Sample) == string(b.Sample) }
			if want = want[len(want)-len(got):]; !slices.EqualFunc(want, got, same) || len(got) == 0 && upTo == last[b] {
				t.Fatalf("sample %d: got %v, want %v", i, got, want)
			}
			found += len(got)
		}
		t.Logf("%d bytes: at most %d in use, %d samples found", bytes, most, found)
		if found < 5000 {
			t.Errorf("only %d samples found", found)
		}
		if n := len(e.Newest(evidenceKey(0), 5, 1000, 5)); n != 0 {
			t.Errorf("%d samples of another generation", n)
		}
	}
}

// TestEvidenceAgain: a bucket with the name of one before has its own samples only.
func TestEvidenceAgain(t *testing.T) {
	e := scenarios.NewEvidence(1 << 20)
	for _, n := range []uint32{1, 2, 3, 1, 2} {
		e.Put(evidenceKey(1), 9, n, fmt.Append(nil, n))
	}
	if got := e.Newest(evidenceKey(1), 9, 3, 5); len(got) != 2 || got[0].N != 1 || got[1].N != 2 {
		t.Errorf("got %v", got)
	}
	for _, small := range []int64{-1, 0, 1, 100, 1300} {
		e := scenarios.NewEvidence(small)
		for i := range 100 {
			e.Put(evidenceKey(i), 1, 1, make([]byte, i*20))
		}
		e.Newest(evidenceKey(99), 1, 1, 1)
		if e.Bytes() > max(small, 0) {
			t.Errorf("%d bytes of %d", e.Bytes(), small)
		}
	}
}

// BenchmarkEvidence puts samples of a thousand buckets.
func BenchmarkEvidence(b *testing.B) {
	e, sample := scenarios.NewEvidence(8<<20), make([]byte, 500)
	keys := make([][16]byte, 1000)
	for i := range keys {
		keys[i] = evidenceKey(i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		e.Put(keys[n%1000], int64(n/10_000), uint32(n/1000), sample)
	}
}
