package firewall

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func parsePrefixes(list string) (ps []netip.Prefix) {
	for _, s := range strings.Fields(list) {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestSpans(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"10.0.0.0/8", "10.0.0.0-10.255.255.255"},
		{"10.1.0.0/16 10.0.0.0/8", "10.0.0.0-10.255.255.255"},
		{"10.0.0.0/9 10.128.0.0/9", "10.0.0.0-10.255.255.255"},
		{"10.0.0.1/32 10.0.0.3/32", "10.0.0.1-10.0.0.1 10.0.0.3-10.0.0.3"},
		{"::ffff:10.0.0.0/104", "10.0.0.0-10.255.255.255"},
		{"255.255.255.255/32 ::/128", "255.255.255.255-255.255.255.255 ::-::"},
		{"0.0.0.0/0 1.2.3.4/32", "0.0.0.0-255.255.255.255"},
		{"ffff::/16 fffe::/16", "fffe::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"10.1.2.3/8", "10.0.0.0-10.255.255.255"},
	}
	for _, tt := range tests {
		var no refusals
		var got []string
		for _, s := range spans(parsePrefixes(tt.in), &no) {
			got = append(got, s.from.String()+"-"+s.to.String())
		}
		if strings.Join(got, " ") != tt.want || no.total != 0 {
			t.Errorf("%q: got %q (%d refused), want %q", tt.in, got, no.total, tt.want)
		}
	}
	var no refusals
	if got := spans([]netip.Prefix{{}}, &no); len(got) != 0 || no.total != 1 {
		t.Errorf("invalid prefix: %v, %d refused", got, no.total)
	}
}

// TestSpansOracle compares containment with a linear search through prefixes.
func TestSpansOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(256))})
	}
	for range 500 {
		prefixes := make([]netip.Prefix, r.IntN(12))
		for i := range prefixes {
			prefixes[i] = netip.PrefixFrom(addr(), 22+r.IntN(11))
		}
		var no refusals
		got := spans(prefixes, &no)
		for i := 1; i < len(got); i++ {
			if got[i].from.Compare(got[i-1].to.Next()) <= 0 {
				t.Fatalf("%v: ranges touch: %v", prefixes, got)
			}
		}
		for range 50 {
			a := addr()
			want, have := false, false
			for _, p := range prefixes {
				want = want || p.Contains(a)
			}
			for _, s := range got {
				have = have || s.contains(a)
			}
			if have != want {
				t.Fatalf("%v: contains %s = %t, want %t", prefixes, a, have, want)
			}
		}
	}
}
