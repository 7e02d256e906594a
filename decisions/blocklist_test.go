package decisions_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

// listHead is one that is in force at the time of the tests' clock.
func listHead(name string) decisions.ListHead {
	return decisions.ListHead{Name: name, Type: "ban", Created: start, Until: start.Add(24 * time.Hour)}
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		if !strings.Contains(s, "/") {
			a := netip.MustParseAddr(s)
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func newList(t testing.TB, h decisions.ListHead, list []netip.Prefix) *decisions.Blocklist {
	t.Helper()
	l, _, err := decisions.NewBlocklist(h, list)
	must(t, err)
	return l
}

func texts(l *decisions.Blocklist) []string {
	out := []string{}
	for p := range l.All() {
		out = append(out, p.String())
	}
	return out
}

// TestBlocklistNormalises: order, duplicates, what others cover, spellings, width.
func TestBlocklistNormalises(t *testing.T) {
	l, report, err := decisions.NewBlocklist(listHead("mixed"), prefixes("198.51.100.7", "192.0.2.9", "192.0.2.9", "::ffff:192.0.2.1",
		"198.51.100.0/24", "198.51.100.128/25", "198.51.100.0/24", "203.0.113.77/28", "0.0.0.0/0", "10.0.0.0/7", "10.0.0.0/8", "10.255.255.255",
		"11.0.0.0", "2001:db8:1::/48", "2001:db8:1::7", "2001:db8:1:2::/64", "2001:db8::7", "2001::/15", "2001:db8::7", "9.255.255.255"))
	must(t, err)
	want := []string{"9.255.255.255/32", "11.0.0.0/32", "192.0.2.1/32", "192.0.2.9/32", "10.0.0.0/8", "198.51.100.0/24", "203.0.113.64/28",
		"2001:db8::7/128", "2001:db8:1::/48"}
	if diff := cmp.Diff(want, texts(l)); diff != "" {
		t.Error(diff)
	}
	if report.Duplicates != 3 || report.Covered != 5 || report.TooWide != 3 || report.Bad != 0 || len(report.Problems) != 3 ||
		!strings.Contains(report.Problems[0], "0.0.0.0/0") {
		t.Errorf("%+v", report)
	}
	if a, r, s := l.Kinds(); a != 4 || r != 3 || s != 2 || l.Len() != 9 {
		t.Error(l.Kinds())
	}
	if l.Origin() != "lists:mixed" || l.Scenario != "mixed" || l.Version != start.UnixMilli() {
		t.Errorf("%+v", l.ListHead)
	}
	_, report, err = decisions.NewBlocklist(listHead("none"), []netip.Prefix{{}})
	if err != nil || report.Bad != 1 {
		t.Errorf("an invalid prefix: %+v, %v", report, err)
	}
}

func TestBlocklistHead(t *testing.T) {
	for name, spoil := range map[string]func(h *decisions.ListHead){
		"no name": func(h *decisions.ListHead) { h.Name = "" }, "a name with a space": func(h *decisions.ListHead) { h.Name = "a b" },
		"a name with a slash": func(h *decisions.ListHead) { h.Name = "../x" }, "a long name": func(h *decisions.ListHead) { h.Name = strings.Repeat("x", 65) },
		"a hidden name": func(h *decisions.ListHead) { h.Name = ".x" },
		"no type":       func(h *decisions.ListHead) { h.Type = "" }, "a type of controls": func(h *decisions.ListHead) { h.Type = "b\x1b" },
		"a long scenario": func(h *decisions.ListHead) { h.Scenario = strings.Repeat("x", 513) },
		"an early end":    func(h *decisions.ListHead) { h.Until = h.Created }, "no end": func(h *decisions.ListHead) { h.Until = time.Time{} },
		"a negative version": func(h *decisions.ListHead) { h.Version = -1 }, "a negative id": func(h *decisions.ListHead) { h.Base = -1 },
		"an id that incidents cannot hold": func(h *decisions.ListHead) { h.Base = 1 << 40 },
	} {
		h := listHead("good-1.0_x")
		if _, _, err := decisions.NewBlocklist(h, nil); err != nil {
			t.Fatal(err)
		}
		spoil(&h)
		if _, _, err := decisions.NewBlocklist(h, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
		if _, _, err := decisions.ReadBlocklist(h, strings.NewReader("")); err == nil {
			t.Errorf("%s is taken with text", name)
		}
	}
}

func TestReadBlocklist(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	text := "\ufeff# a comment\r\n192.0.2.1\r\n\n  198.51.100.0/24 ; SBL1\n2001:db8::/32#x\nexample.com\n" + long + "\n# " + strings.Repeat("y", 100) +
		"\n192.0.2.1\n0.0.0.0/1\n1.2.3.4 5.6.7.8\n192.0.2.2"
	l, report, err := decisions.ReadBlocklist(listHead("x"), strings.NewReader(text))
	must(t, err)
	if diff := cmp.Diff([]string{"192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24", "2001:db8::/32"}, texts(l)); diff != "" {
		t.Error(diff)
	}
	want := decisions.ListReport{Lines: 12, Bad: 3, TooWide: 1, Duplicates: 1, Problems: []string{
		`line 6: "example.com": expected an address such as 192.0.2.7 or a range such as 192.0.2.0/24`, "line 7: longer than 4096 bytes",
		"line 10: range 0.0.0.0/1: range too wide: a /8 is the widest that may be decided for",
		`line 11: "1.2.3.4 5.6.7.8": expected an address such as 192.0.2.7 or a range such as 192.0.2.0/24`}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	bad := strings.Repeat("x\n", 100)
	if _, report, _ := decisions.ReadBlocklist(listHead("x"), strings.NewReader(bad)); report.Bad != 100 || len(report.Problems) != 20 {
		t.Errorf("%d bad, %d named", report.Bad, len(report.Problems))
	}
	if _, _, err := decisions.ReadBlocklist(listHead("x"), errorReader{}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("no more") }

// naive is the model of a list: a linear search.
func naive(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// crowded returns prefixes that often touch and cover each other.
func crowded(r *rand.Rand, n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(crowdedAddr(r), 0)
		bits := out[i].Addr().BitLen()
		if r.IntN(3) == 0 {
			bits -= r.IntN(12)
		}
		out[i] = netip.PrefixFrom(out[i].Addr(), bits).Masked()
	}
	return out
}

func crowdedAddr(r *rand.Rand) netip.Addr {
	if r.IntN(3) == 0 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 7: byte(r.IntN(2)), 14: byte(r.IntN(4)), 15: byte(r.Uint32())})
	}
	return netip.AddrFrom4([4]byte{[]byte{1, 127, 128, 255}[r.IntN(4)], byte(r.IntN(2) * 255), byte(r.IntN(4)), byte(r.Uint32())})
}

// TestBlocklistAgainstModel: random lists find what a linear search finds, and
// survive coding; a patch makes the one into the other.
func TestBlocklistAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	old := newList(t, listHead("x"), nil)
	for round := range 300 {
		list := crowded(r, r.IntN(400))
		h := listHead("x")
		h.Version, h.Base = int64(round+1), int64(round)
		l := newList(t, h, list)
		for range 300 {
			a := crowdedAddr(r)
			i, ok := l.Find(a)
			if ok != naive(list, a) || ok && !l.At(i).Contains(a) {
				t.Fatalf("round %d: %s is found: %v at %d", round, a, ok, i)
			}
		}
		for i := range l.Len() {
			if j, ok := l.Index(l.At(i)); !ok || i != j {
				t.Fatalf("round %d: entry %d, %s, is found at %d", round, i, l.At(i), j)
			}
		}
		back, err := decisions.DecodeBlocklist(l.Encode())
		must(t, err)
		patched, err := old.Apply(decisions.Diff(old, l))
		must(t, err)
		for what, got := range map[string]*decisions.Blocklist{"coded": back, "patched": patched} {
			if got.ListHead != l.ListHead || !slices.Equal(texts(got), texts(l)) || got.Hash() != l.Hash() {
				t.Fatalf("round %d: another list when %s", round, what)
			}
		}
		if r.IntN(4) > 0 { // else the next patch is against a list of long ago
			old = l
		}
	}
}

// TestPatchOfAnother: a patch is for one state of one list.
func TestPatchOfAnother(t *testing.T) {
	a, b := newList(t, listHead("x"), prefixes("192.0.2.1")), newList(t, listHead("x"), prefixes("192.0.2.2"))
	patch := decisions.Diff(a, b)
	if _, err := b.Apply(patch); !errors.Is(err, decisions.ErrOtherList) {
		t.Errorf("got %v", err)
	}
	later := listHead("x")
	later.Version = 7
	if _, err := newList(t, later, prefixes("192.0.2.1")).Apply(patch); !errors.Is(err, decisions.ErrOtherList) {
		t.Errorf("of another version: %v", err)
	}
	based := listHead("x")
	based.Base = 7
	if l, err := newList(t, based, prefixes("192.0.2.1")).Apply(patch); err != nil || l.Base != b.Base || l.Hash() != b.Hash() {
		t.Errorf("with other ids: %v", err)
	}
}

// TestDecodeDamaged: no bit of a coded list or patch can change unnoticed, and a
// piece of it is none.
func TestDecodeDamaged(t *testing.T) {
	h := listHead("x")
	h.Base = 7
	a := newList(t, h, prefixes("192.0.2.1", "192.0.2.0/26", "203.0.113.9", "2001:db8::/48", "2001:db8:1::1"))
	b := newList(t, h, prefixes("192.0.2.1", "203.0.113.9", "2001:db8:1::1", "198.51.100.0/24"))
	for what, c := range map[string]struct {
		code []byte
		read func([]byte) (*decisions.Blocklist, error)
		want *decisions.Blocklist
	}{
		"list": {a.Encode(), decisions.DecodeBlocklist, a}, "patch": {decisions.Diff(a, b), a.Apply, b},
	} {
		for i := range c.code {
			if _, err := c.read(c.code[:i]); err == nil {
				t.Errorf("%s: %d bytes of %d are one", what, i, len(c.code))
			}
			for bit := range 8 {
				spoilt := bytes.Clone(c.code)
				spoilt[i] ^= 1 << bit
				if l, err := c.read(spoilt); err == nil && l.Hash() != c.want.Hash() {
					t.Errorf("%s: bit %d of byte %d is not missed", what, bit, i)
				}
			}
		}
		if _, err := c.read(nil); err == nil {
			t.Errorf("%s: nothing is one", what)
		}
	}
}

// TestDecodeBomb: little that unpacks to a lot is refused, and does not take more
// memory than a list may.
func TestDecodeBomb(t *testing.T) {
	h := listHead("x")
	var head []byte
	for _, s := range []string{h.Name, h.Type, h.Name} {
		head = append(binary.AppendUvarint(head, uint64(len(s))), s...)
	}
	for _, n := range []int64{h.Created.UnixMilli(), h.Until.UnixMilli(), 1, 0} {
		head = binary.AppendUvarint(head, uint64(n))
	}
	const most = 4 << 20
	for what, body := range map[string][]byte{
		"too many":    binary.AppendUvarint(nil, most+1),
		"a full list": slices.Concat(binary.AppendUvarint(nil, most), bytes.Repeat([]byte{1}, most), make([]byte, most), []byte{0, 0}),
		"more behind": make([]byte, 100<<20),
	} {
		var b bytes.Buffer
		b.WriteString("rbl1" + strings.Repeat("x", 32)) // of no list
		w, err := flate.NewWriter(&b, flate.BestSpeed)
		must(t, err)
		_, err = w.Write(slices.Concat(head, body))
		must(t, err)
		must(t, w.Close())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = decisions.DecodeBlocklist(b.Bytes())
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: %d bytes are taken", what, b.Len())
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 160<<20 {
			t.Errorf("%s: %d MB for %d bytes: %v", what, got>>20, b.Len(), err)
		}
		if what == "a full list" && !strings.Contains(err.Error(), "hash") {
			t.Errorf("it is not even read: %v", err)
		}
	}
	if _, err := decisions.DecodeBlocklist(append([]byte("rbl1"), make([]byte, 100<<20)...)); err == nil {
		t.Error("a hundred megabytes are taken")
	}
}

// FuzzBlocklist: bytes from anywhere are refused, or are a list that codes to itself.
func FuzzBlocklist(f *testing.F) {
	a := newList(f, listHead("x"), prefixes("192.0.2.1", "192.0.2.64/26", "203.0.113.9", "2001:db8::/48", "2001:db8:1::1"))
	b := newList(f, listHead("x"), prefixes("192.0.2.1", "203.0.113.9", "2001:db8:1::1", "198.51.100.0/24"))
	f.Add(a.Encode())
	f.Add(b.Encode())
	f.Add(decisions.Diff(a, b))
	f.Add([]byte("192.0.2.1\n# x\n198.51.100.0/24;y\n::/8\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := decisions.DecodeBlocklist(data); err == nil {
			checkList(t, l)
		}
		if l, err := a.Apply(data); err == nil {
			checkList(t, l)
		}
		l, report, err := decisions.ReadBlocklist(listHead("x"), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Len() + report.Bad + report.TooWide + report.Duplicates + report.Covered; got > report.Lines {
			t.Fatalf("%d of %d lines", got, report.Lines)
		}
		checkList(t, l)
	})
}

func checkList(t *testing.T, l *decisions.Blocklist) {
	t.Helper()
	again, report, err := decisions.NewBlocklist(l.ListHead, slices.Collect(l.All()))
	if err != nil || again.Hash() != l.Hash() || report.Duplicates+report.Covered+report.TooWide+report.Bad > 0 {
		t.Fatalf("not in normal form: %v, %+v", err, report)
	}
	back, err := decisions.DecodeBlocklist(l.Encode())
	if err != nil || back.Hash() != l.Hash() {
		t.Fatalf("does not code: %v", err)
	}
}

// TestCodedSize: what a million addresses take up, coded, and a change of one in a
// hundred.
func TestCodedSize(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short: a million addresses")
	}
	r := rand.New(rand.NewPCG(3, 3))
	million := randomList(r, 1_000_000)
	old := newList(t, listHead("big"), million)
	for range len(million) / 100 {
		million[r.IntN(len(million))] = randomPrefix4(r)
	}
	next := newList(t, listHead("big"), million)
	whole, patch := len(next.Encode()), len(decisions.Diff(old, next))
	t.Logf("%d entries: %d bytes, the patch %d", next.Len(), whole, patch)
	if whole > 2_100_000 || patch > 60_000 {
		t.Errorf("%d entries: %d bytes, the patch %d", next.Len(), whole, patch)
	}
}

func randomPrefix4(r *rand.Rand) netip.Prefix { return netip.PrefixFrom(randomAddr4(r), 32) }

func randomList(r *rand.Rand, n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = randomPrefix4(r)
	}
	return out
}

func BenchmarkBlocklist(b *testing.B) {
	r := rand.New(rand.NewPCG(4, 4))
	million := randomList(r, 1_000_000)
	before := heap()
	old := newList(b, listHead("big"), million)
	bytesEach := float64(heap()-before) / float64(old.Len())
	changed := slices.Clone(million)
	for range len(changed) / 100 {
		changed[r.IntN(len(changed))] = randomPrefix4(r)
	}
	next := newList(b, listHead("big"), changed)
	var text strings.Builder
	for _, p := range million {
		fmt.Fprintln(&text, p.Addr())
	}
	code, patch := old.Encode(), decisions.Diff(old, next)
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"new", func() error { _, _, err := decisions.NewBlocklist(listHead("big"), million); return err }},
		{"read text", func() error {
			_, _, err := decisions.ReadBlocklist(listHead("big"), strings.NewReader(text.String()))
			return err
		}},
		{"encode", func() error { code = old.Encode(); return nil }},
		{"decode", func() error { _, err := decisions.DecodeBlocklist(code); return err }},
		{"diff", func() error { patch = decisions.Diff(old, next); return nil }},
		{"apply", func() error { _, err := old.Apply(patch); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(b, c.run())
			}
			b.ReportMetric(bytesEach, "B/entry")
		})
	}
	b.Logf("coded %d bytes, patch %d bytes", len(code), len(patch))
}
