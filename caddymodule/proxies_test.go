package caddymodule

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestTrustedProxies: a server where clients can choose their address is refused,
// when it is validated already, with both ways out named.
func TestTrustedProxies(t *testing.T) {
	const trust = "trusted_proxies static 10.0.0.0/8"
	for _, tc := range []struct {
		name, servers, more, site string
		refused                   bool
	}{
		{name: "none"},
		{name: "strict", servers: trust + "\ntrusted_proxies_strict"},
		{name: "loose", servers: trust, refused: true},
		{name: "loose but said so", servers: trust, more: "unsafe_trusted_proxies"},
		{name: "loose socket", servers: "trusted_proxies_unix", refused: true},
		{name: "loose, private ranges", servers: "trusted_proxies static private_ranges\nclient_ip_headers X-Real-IP", refused: true},
		{name: "loose without our handler", servers: trust, site: "respond x"},
		{name: "loose, handler in a route", servers: trust, site: "route /x {\nrampart\n}", refused: true},
		{name: "loose, handler in a named route", servers: trust, site: "invoke guard\n}\n&(guard) {\nrampart", refused: true},
		{name: "loose, handler in an error route", servers: trust, site: "handle_errors {\nrampart\n}", refused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			site := tc.site
			if site == "" {
				site = "rampart"
			}
			err := validate(t, withGlobals(t, rampartBlock(t, tc.more)+"\nservers {\n"+tc.servers+"\n}",
				"http://localhost:8080 {\n"+site+"\n}"))
			if !tc.refused {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range []string{"server srv0", "set trusted_proxies_strict", "unsafe_trusted_proxies in the rampart block"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if users(nodeNameOf(t)) != 0 {
				t.Error("the refused configuration still holds its node")
			}
		})
	}
}

// TestTrustedProxiesField: the field that tells is still where it is looked for.
// Were it gone, every server would have to be strict.
func TestTrustedProxiesField(t *testing.T) {
	f, ok := reflect.TypeOf(caddyhttp.Server{}).FieldByName("trustedProxies")
	if !ok || f.Type.Kind() != reflect.Interface {
		t.Fatalf("caddyhttp.Server has no interface field trustedProxies: %v", f.Type)
	}
	if trustsProxies(new(caddyhttp.Server)) {
		t.Error("a server without trusted proxies is taken for one that has them")
	}
}

// TestTrusted: the app knows the trusted proxies of all servers, those without a
// handler of ours too.
func TestTrusted(t *testing.T) {
	p1, p2 := freePort(t), freePort(t)
	load(t, withGlobals(t, rampartBlock(t, "")+fmt.Sprintf(`
		servers 127.0.0.1:%d {
			trusted_proxies static 192.0.2.0/24 2001:db8::/32
			trusted_proxies_strict
		}
		servers 127.0.0.1:%d {
			trusted_proxies static 198.51.100.7/32
		}`, p1, p2), fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\n}\nhttp://localhost:%d {\nbind 127.0.0.1\nrespond x\n}", p1, p2)))
	app := runningApp(t)
	for addr, want := range map[string]bool{"192.0.2.9": true, "2001:db8::1": true, "198.51.100.7": true,
		"198.51.100.8": false, "127.0.0.1": false, "2001:db9::1": false} {
		if got := app.Trusted(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	var got []string
	for _, p := range app.Proxies() {
		got = append(got, p.String())
	}
	slices.Sort(got)
	if want := []string{"192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"}; !slices.Equal(got, want) {
		t.Errorf("networks %v, want %v", got, want)
	}
}

// TestVouched: what stands left of an entry that is no address names nobody.
func TestVouched(t *testing.T) {
	for _, tc := range []struct {
		values []string // of X-Forwarded-For; Caddy takes the client from it
		client string
		want   bool
	}{
		{nil, "10.0.0.1", true},
		{[]string{""}, "10.0.0.1", true},
		{[]string{"192.0.2.1"}, "192.0.2.1", true},
		{[]string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1", true},
		{[]string{"203.0.113.9,192.0.2.1, 10.0.0.2"}, "192.0.2.1", true},
		{[]string{"203.0.113.9", "192.0.2.1"}, "192.0.2.1", true},
		{[]string{"junk", "192.0.2.1"}, "192.0.2.1", true},
		{[]string{"junk, 192.0.2.1:4711"}, "192.0.2.1", true},
		{[]string{"[2001:db8::1]:4711"}, "2001:db8::1", true},
		{[]string{"2001:db8::1%eth0"}, "2001:db8::1", true},
		{[]string{"::ffff:192.0.2.1"}, "192.0.2.1", true},
		{[]string{"192.0.2.1, ", ","}, "192.0.2.1", true},
		{[]string{"10.0.0.2, 10.0.0.3"}, "10.0.0.1", true},
		{[]string{"203.0.113.9, unknown"}, "203.0.113.9", false},
		{[]string{"203.0.113.9, unknown, 10.0.0.2"}, "203.0.113.9", false},
		{[]string{"203.0.113.9", "unix:"}, "203.0.113.9", false},
		{[]string{"203.0.113.9, [2001:db8::1]"}, "203.0.113.9", false},
		{[]string{"unknown"}, "10.0.0.1", false},
	} {
		h := http.Header{"X-Forwarded-For": tc.values}
		if got := vouched(h, []string{"x-forwarded-for"}, netip.MustParseAddr(tc.client)); got != tc.want {
			t.Errorf("%q for %s: %v", tc.values, tc.client, got)
		}
		if !vouched(h, nil, netip.MustParseAddr(tc.client)) {
			t.Errorf("%q: asked although the operator said not to", tc.values)
		}
	}
}
