package scenarios

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestKeymap compares with a map, on keys of which many have the same home and
// the same mark.
func TestKeymap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, spread := range []uint32{3, 50, 1 << 30} {
		var sh shard
		sh.init(0, mostInOne, -1)
		want := map[[16]byte]*entry{}
		for i := range 40_000 {
			var key [16]byte
			binary.LittleEndian.PutUint32(key[:], rng.Uint32N(spread))
			binary.LittleEndian.PutUint32(key[4:], rng.Uint32N(3))
			key[15] = byte(rng.IntN(20))
			got := sh.find(&key)
			if got != want[key] {
				t.Fatalf("step %d: found %p, want %p", i, got, want[key])
			}
			if got != nil {
				sh.release(got)
				delete(want, key)
			} else if len(want) < 3000 {
				want[key] = sh.add(&key, 0)
			}
			if sh.index.n != len(want) {
				t.Fatalf("step %d: %d keys, want %d", i, sh.index.n, len(want))
			}
		}
		for key, e := range want {
			if sh.find(&key) != e {
				t.Fatalf("key %x is lost", key)
			}
		}
	}
}
