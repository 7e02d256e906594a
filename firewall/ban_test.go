package firewall

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	tests := []struct {
		in      string
		prefix6 int
		source  string
		target  string
		err     error
	}{
		{in: "192.0.2.7/32", source: "192.0.2.7/32", target: "192.0.2.7/32"},
		{in: "192.0.2.7/24", source: "192.0.2.0/24", target: "192.0.2.0/24"},
		{in: "::ffff:192.0.2.7/128", source: "192.0.2.7/32", target: "192.0.2.7/32"},
		{in: "::ffff:192.0.2.7/120", source: "192.0.2.0/24", target: "192.0.2.0/24"},
		{in: "11.0.0.0/8", source: "11.0.0.0/8", target: "11.0.0.0/8"},
		{in: "10.0.0.0/7", err: ErrTooWide},
		{in: "0.0.0.0/0", err: ErrTooWide},
		{in: "2001:db8::1/128", source: "2001:db8::1/128", target: "2001:db8::/64"},
		{in: "2001:db8::1/128", prefix6: 128, source: "2001:db8::1/128", target: "2001:db8::1/128"},
		{in: "2001:db8:1:2:3::/56", source: "2001:db8:1::/56", target: "2001:db8:1::/56"},
		{in: "2001:db8::/127", source: "2001:db8::/127", target: "2001:db8::/127"},
		{in: "2001::/16", source: "2001::/16", target: "2001::/16"},
		{in: "2000::/15", err: ErrTooWide},
		{in: "::/0", err: ErrTooWide},
		{in: "127.0.0.1/32", err: ErrReserved},
		{in: "0.0.0.0/32", err: ErrReserved},
		{in: "169.254.1.1/32", err: ErrReserved},
		{in: "169.0.0.0/8", err: ErrReserved},
		{in: "224.0.0.1/32", err: ErrReserved},
		{in: "255.255.255.255/32", err: ErrReserved},
		{in: "::1/128", err: ErrReserved},
		{in: "::1/128", prefix6: 128, err: ErrReserved},
		{in: "::/128", err: ErrReserved},
		{in: "::2/128", err: ErrReserved}, // its /64 has ::1 in it
		{in: "fe80::1/128", err: ErrReserved},
		{in: "ff02::1/128", err: ErrReserved},
		{in: "::ffff:127.0.0.1/128", err: ErrReserved},
		{in: "::ffff:0:0/90", err: ErrReserved},
	}
	for _, tt := range tests {
		prefix6 := tt.prefix6
		if prefix6 == 0 {
			prefix6 = 64
		}
		source, target, err := normalise(netip.MustParsePrefix(tt.in), prefix6)
		if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
			t.Errorf("%s: error %v, want %v", tt.in, err, tt.err)
			continue
		}
		if err == nil && (source.String() != tt.source || target.String() != tt.target) {
			t.Errorf("%s: %s written as %s, want %s as %s", tt.in, source, target, tt.source, tt.target)
		}
	}
	if _, _, err := normalise(netip.Prefix{}, 64); !errors.Is(err, ErrInvalid) {
		t.Errorf("zero prefix: %v, want ErrInvalid", err)
	}
}

func TestKeyRoundTrip(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "1.2.3.4/32", "10.0.0.0/8", "::/0", "2001:db8:1:2::/64", "fd00::1/128"} {
		p := netip.MustParsePrefix(s)
		if got := keyOf(p).prefix(); got != p {
			t.Errorf("%s comes back as %s", p, got)
		}
	}
}

func TestRefusalsAreBoundedAndNamed(t *testing.T) {
	var no refusals
	if no.err() != nil {
		t.Fatalf("no refusals: %v", no.err())
	}
	p := netip.MustParsePrefix("127.0.0.1/32")
	for range maxRefusals + 50 {
		no.add(p, ErrReserved)
	}
	err := no.err()
	if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrReserved) {
		t.Errorf("error does not match ErrRefused and ErrReserved: %v", err)
	}
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Prefix != p {
		t.Errorf("no *RefusedError for %s in %v", p, err)
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != maxRefusals+1 {
		t.Errorf("%d lines of error, want %d", lines, maxRefusals+1)
	}
	if !strings.HasSuffix(err.Error(), "50 more") {
		t.Errorf("error does not tell of the rest: %q", err.Error()[len(err.Error())-40:])
	}
}

func TestTableNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"rampart": true, "rampart_2": true, "_x": true,
		"": false, "Rampart": false, "2x": false, "a b": false, "a/b": false, "a:b": false,
		strings.Repeat("x", 201): false,
	} {
		if err := CheckTable(name); (err == nil) != ok {
			t.Errorf("name %q: error %v", name, err)
		}
	}
}
