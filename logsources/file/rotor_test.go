package file

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// op is one kind of rotation of the log at w.path.
type op func(w *rotor)

// rotor writes numbered lines to a log that it rotates now and then.
type rotor struct {
	t       *testing.T
	r       *reader
	rnd     *rand.Rand
	dir     string
	path    string
	f       *os.File
	n       int // lines written
	gen     int
	genFrom int // first line of this generation
	padding string
}

func (w *rotor) open() {
	var err error
	w.f, err = os.OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	must(w.t, err)
}

// write appends some lines, in pieces that need not end where a line does.
func (w *rotor) write() {
	var b strings.Builder
	for range 1 + w.rnd.IntN(300) {
		fmt.Fprintf(&b, "%07d g%d %s\n", w.n, w.gen, w.padding[:w.rnd.IntN(len(w.padding))])
		w.n++
	}
	text := b.String()
	for len(text) > 0 {
		k := min(len(text), 1+w.rnd.IntN(8000))
		_, err := w.f.WriteString(text[:k])
		must(w.t, err)
		text = text[k:]
	}
}

func (w *rotor) next() { w.gen, w.genFrom = w.gen+1, w.n }

// caughtUp waits until n lines of this generation, or all, are delivered.
func (w *rotor) caughtUp(n int) { w.r.wait(min(w.n, w.genFrom+n)) }

func (w *rotor) rename() {
	must(w.t, w.f.Close())
	must(w.t, os.Rename(w.path, fmt.Sprintf("%s.%d", w.path, w.gen)))
	w.next()
	w.open()
}

// copyTruncate waits until the start of the file was seen: a file that comes and
// goes without a trace of its content is what the method loses.
func (w *rotor) copyTruncate() {
	w.caughtUp(100)
	copyTruncate(w.t, w.path, fmt.Sprintf("%s.%d", w.path, w.gen))
	w.next()
}

// recreate can only keep what was noticed before it is deleted; a reader that has
// begun keeps the file.
func (w *rotor) recreate() {
	w.caughtUp(1)
	must(w.t, w.f.Close())
	must(w.t, os.Remove(w.path))
	w.next()
	w.open()
}

// TestRandomRotationAtSpeed is repeated RAMPART_SOAK times with other seeds.
func TestRandomRotationAtSpeed(t *testing.T) {
	seeds := uint64(2)
	if n, err := strconv.ParseUint(os.Getenv("RAMPART_SOAK"), 10, 64); err == nil {
		seeds *= n
	}
	ops := map[string][]op{
		"rename":       {(*rotor).rename},
		"copytruncate": {(*rotor).copyTruncate},
		"recreate":     {(*rotor).recreate},
		"all":          {(*rotor).rename, (*rotor).copyTruncate, (*rotor).recreate},
	}
	for name, kinds := range ops {
		for _, glob := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/glob=%v", name, glob), func(t *testing.T) {
				for seed := range seeds {
					runRotor(t, kinds, glob, seed)
				}
			})
		}
	}
}

func runRotor(t *testing.T, kinds []op, glob bool, seed uint64) {
	dir, path := tempLog(t)
	o := Options{Patterns: []string{path}}
	if glob {
		o.Patterns[0] += "*"
	}
	r := newReader(t, o)
	r.blind = seed%2 == 1
	r.start()
	w := &rotor{t: t, r: r, rnd: rand.New(rand.NewPCG(seed, 7)), dir: dir, path: path, padding: strings.Repeat("p", 120)}
	w.open()
	w.write()
	w.caughtUp(1) // a file that was never seen at its path is not looked for
	for range 40 {
		for range 1 + w.rnd.IntN(5) {
			w.write()
		}
		kinds[w.rnd.IntN(len(kinds))](w)
		if w.rnd.IntN(8) == 0 { // a restart in the middle of it
			w.caughtUp(1 << 30)
			r.stop()
			w.write()
			r.start()
		}
	}
	w.f.Close()
	w.check()
	r.stop()
}

// check compares the lines delivered with those written: all, once, in order
// within each generation.
func (w *rotor) check() {
	w.t.Helper()
	eventually(w.t, "all lines arrive", func() bool { return w.r.sink.count() >= w.n })
	time.Sleep(2 * w.r.opts.Poll)
	seen := make([]int, w.n)
	last := map[string]int{}
	for _, l := range w.r.sink.raw() {
		var n int
		var gen string
		if _, err := fmt.Sscanf(l, "%07d %s", &n, &gen); err != nil || n >= w.n {
			w.t.Fatalf("half a line: %q", l)
		}
		if p, ok := last[gen]; ok && n <= p {
			w.t.Fatalf("line %d of %s came after %d", n, gen, p)
		}
		last[gen] = n
		seen[n]++
	}
	for n, c := range seen {
		if c != 1 {
			w.t.Fatalf("line %d of %d arrived %d times", n, w.n, c)
		}
	}
}
