package pattern_test

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// mutate changes a few bytes of a line.
func mutate(r *rand.Rand, line string) string {
	b := []byte(line)
	for range 1 + r.IntN(3) {
		if len(b) < 2 {
			break
		}
		i, j := r.IntN(len(b)), r.IntN(len(b))
		i, j = min(i, j), max(i, j)
		switch r.IntN(5) {
		case 0:
			b = append(b[:i], b[i+1:]...)
		case 1:
			b[i] = b[j]
		case 2:
			b[i] = " :\"\xff.[]\n-9a"[r.IntN(11)]
		case 3:
			b = slices.Concat(b[:j], b[i:])
		default:
			b = append(b, b[i:]...)
		}
	}
	return string(b)
}

// TestHubGroks holds every grok of the Hub to package regexp, on lines of the Hub's
// tests and on spoilt ones: all where the pattern matches, and some of the others.
func TestHubGroks(t *testing.T) {
	groks, lines := hubGroks(t), hubLines(t)
	r := rand.New(rand.NewPCG(1, 2))
	fast, hits, misses, spoilt := 0, 0, 0, 0
	for _, g := range groks {
		thin, err := bare(g.expr)
		if err != nil {
			t.Errorf("%s: %v", g.where, err)
			continue
		}
		for _, expr := range []string{g.expr, thin} {
			p, re := compile(t, expr)
			if p.Fast() {
				fast++
			} else {
				t.Logf("%s is not fast: %s", g.where, expr)
			}
			some, few := 0, 0
			for i, line := range lines {
				if p.Find(line, nil) == nil {
					if few < 8 && (i+len(expr))%97 == 0 {
						few++
						misses++
						same(t, p, re, line)
					}
					continue
				}
				if some++; some > 12 {
					continue
				}
				hits++
				if !same(t, p, re, line) {
					t.Fatalf("%s: no match", g.where)
				}
				if bad := mutate(r, line); !same(t, p, re, bad) {
					spoilt++
				}
			}
		}
	}
	t.Logf("%d groks, %d of %d expressions fast: %d matches, %d spoilt so that nothing matched, %d other misses", len(groks), fast, 2*len(groks), hits, spoilt, misses)
	if hits < 1000 || spoilt < 200 || misses < 1000 {
		t.Error("this says little")
	}
}
