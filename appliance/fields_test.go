package appliance

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestStatic: case does not matter, as Upper in the Hub's parser has it.
func TestStatic(t *testing.T) {
	for ext, want := range map[string]bool{".js": true, ".JS": true, ".wOfF2": true, ".brotli": true, ".png": true,
		".tſ": true, ".ſvg": true, // the long s is an S in capitals
		"": false, ".": false, ".j": false, ".php": false, ".jsx": false, ".brotlis": false, ".jſ\xff": false, "png": false} {
		if got := isStatic(ext); got != want || got != static(strings.ToUpper(ext)) {
			t.Errorf("%q: %t", ext, got)
		}
	}
}

// TestSource: the server's own text is taken only where it says what the address is.
func TestSource(t *testing.T) {
	for _, tc := range []struct{ client, name, want string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, {"192.0.2.1", "", "192.0.2.1"}, {"192.0.2.1", "192.0.2.10", "192.0.2.1"},
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"}, {"2001:db8::1", "2001:DB8:0::1", "2001:db8::1"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::1"}, {"fe80::1", "fe80::1%eth0", "fe80::1"},
	} {
		in := Arrival{Client: netip.MustParseAddr(tc.client), Name: tc.name}
		if got := in.source(); got != tc.want {
			t.Errorf("%s written %q: %s", tc.client, tc.name, got)
		}
	}
	in := Arrival{Client: netip.MustParseAddr("198.51.100.7"), Name: fmt.Sprint("198.51.100.", 7)}
	if n := testing.AllocsPerRun(100, func() { _ = in.source() }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
