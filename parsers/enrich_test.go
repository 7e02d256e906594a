package parsers

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/geoip"
	"github.com/rampart-edge/rampart/internal/testkit/mmdbtest"
)

// places is a database of one network of each kind; without asn it knows cities
// alone.
func places(t *testing.T, city, asn bool) *geoip.Database {
	t.Helper()
	network := netip.MustParsePrefix("192.0.2.0/24")
	var files [2][]byte
	if city {
		files[0] = mmdbtest.Database{Type: "City", IPVersion: 6, RecordSize: 28, Networks: map[netip.Prefix]any{network: map[string]any{
			"country":  map[string]any{"iso_code": "FR", "is_in_european_union": true},
			"location": map[string]any{"latitude": 46.0, "longitude": 2.25},
		}}}.Bytes(t)
	}
	if asn {
		files[1] = mmdbtest.Database{Type: "ASN", IPVersion: 6, RecordSize: 24, Networks: map[netip.Prefix]any{network: map[string]any{
			"autonomous_system_number": uint32(64500), "autonomous_system_organization": "Example",
		}}}.Bytes(t)
	}
	db, err := geoip.New(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	return db
}

const placesNode = `name: n
statics:
  - {method: GeoIpCity, expression: evt.Line.Raw}
  - {method: GeoIpASN, expression: evt.Line.Raw}
  - {method: IpToRange, expression: evt.Line.Raw}
`

func TestPlaces(t *testing.T) {
	type fields = map[string]string
	nowhere := fields{"IsoCode": "", "IsInEU": "false", "Latitude": "0.000000", "Longitude": "0.000000"}
	cases := []struct {
		name      string
		city, asn bool
		address   string
		want      fields
	}{
		{"known", true, true, "192.0.2.9", fields{"IsoCode": "FR", "IsInEU": "true", "Latitude": "46.000000", "Longitude": "2.250000",
			"ASNNumber": "64500", "ASNumber": "64500", "ASNOrg": "Example", "SourceRange": "192.0.2.0/24"}},
		{"in no network", true, true, "198.51.100.1", fields{"IsoCode": "", "IsInEU": "false", "Latitude": "0.000000", "Longitude": "0.000000",
			"ASNNumber": "0", "ASNumber": "0", "ASNOrg": ""}},
		{"no address", true, true, "somewhere", nil},
		{"cities alone", true, false, "198.51.100.1", nowhere},
		{"no database", false, false, "192.0.2.9", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, geo := range []*geoip.Database{places(t, c.city, c.asn), nil} {
				want := c.want
				if geo == nil {
					want = nil
				}
				p, err := Load(staged("s00", placesNode), expression.New(expression.Options{Now: clock, Geo: geo}), Options{Now: clock})
				if err != nil {
					t.Fatal(err)
				}
				ev := line("t", c.address)
				if out := p.Parse(ev); !out.Parsed {
					t.Fatal(out)
				}
				if diff := cmp.Diff(want, ev.Enriched); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

// names is a resolver that knows one address, and counts who asks.
type names struct{ asked int }

func (n *names) Reverse(_ context.Context, a netip.Addr) (string, bool) {
	n.asked++
	return "host.example.", a == netip.MustParseAddr("192.0.2.9")
}

func (n *names) Forward(context.Context, string) ([]netip.Addr, bool)   { return nil, false }
func (n *names) Confirmed(context.Context, netip.Addr) (names []string) { return nil }

func TestReverse(t *testing.T) {
	cases := []struct {
		name, address string
		inline        bool
		want          map[string]string
		asked         int
	}{
		{"known", "192.0.2.9", false, map[string]string{"reverse_dns": "host.example."}, 1},
		{"without a name", "192.0.2.1", false, nil, 1},
		{"no address", "x", false, nil, 0},
		{"empty", "", false, nil, 0},
		{"a live request waits for no DNS", "192.0.2.9", true, nil, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dns := &names{}
			p, err := Load(staged("s00", "name: n\nstatics: [{method: reverse_dns, expression: evt.Line.Raw}]\n"),
				expression.New(expression.Options{Now: clock, Resolver: dns}), Options{Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			ev := line("t", c.address)
			ev.From.Inline = c.inline
			if out := p.ParseFrom("s00", ev, nil); !out.Parsed {
				t.Fatal(out)
			}
			if diff := cmp.Diff(c.want, ev.Enriched); diff != "" || dns.asked != c.asked {
				t.Fatalf("asked %d times, want %d: %s", dns.asked, c.asked, diff)
			}
		})
	}
	ev := line("t", "192.0.2.9")
	p := load(t, staged("s00", "name: n\nstatics: [{method: reverse_dns, expression: evt.Line.Raw}]\n"))
	if out := p.Parse(ev); !out.Parsed || ev.Enriched != nil {
		t.Fatalf("without a resolver: %+v %v", out, ev.Enriched)
	}
}

// TestParseDateMemo: lines of one second share a date, those of another second or
// layout do not.
func TestParseDateMemo(t *testing.T) {
	p := load(t, staged("s00", "name: n\nstatics: [{method: ParseDate, expression: evt.Line.Raw}]\n"))
	for _, c := range []struct{ raw, layout, want string }{
		{"2024-04-10 14:30:00", "", "2024-04-10T14:30:00Z"},
		{"2024-04-10 14:30:00", "", "2024-04-10T14:30:00Z"},
		{"2024-04-10 14:30:01", "", "2024-04-10T14:30:01Z"},
		{"2024-04-10 14:30:01", "2006-02-01 15:04:05", "2024-10-04T14:30:01Z"},
		{"Apr 10 14:30:01", "", "2025-04-10T14:30:01Z"},
		{"no date", "", "2025-12-20T12:00:00Z"},
		{"", "", "2025-12-20T12:00:00Z"},
		{"2024-04-10 14:30:01", "2006-02-01 15:04:05", "2024-10-04T14:30:01Z"},
	} {
		ev := line("t", c.raw)
		ev.StrTimeFormat = c.layout
		p.Parse(ev)
		got, err := ev.Stamp.Of(ev.Enriched["MarshaledTime"])
		if ev.Enriched["MarshaledTime"] != c.want || ev.Stamp.Text() != c.want || err != nil || got.Format("2006-01-02T15:04:05Z07:00") != c.want {
			t.Fatalf("%q by %q: %v, stamp %v, want %s", c.raw, c.layout, ev.Enriched, ev.Stamp, c.want)
		}
		if known := c.raw != "" && c.raw != "no date"; known == ev.Time.Equal(clock()) {
			t.Fatalf("%q: time is %v", c.raw, ev.Time)
		}
	}
}

// TestParseDateMemoYear: a date without a year that is read again gives what the clock
// says by then, for a clock that goes forth and back over the new year and over the
// instants at which a date stops to lie ahead.
func TestParseDateMemoYear(t *testing.T) {
	node := staged("s00", "name: n\nstatics: [{method: ParseDate, expression: evt.Line.Raw}]\n")
	for _, loc := range zones(t) {
		for _, fix := range []bool{false, true} {
			now := clock()
			w := newTwin(t, node, expression.Options{Now: clock}, Options{Now: func() time.Time { return now }, Location: loc, FixYear: fix})
			r := rand.New(rand.NewPCG(9, 10))
			texts := []string{"Dec 31 23:59:59", "Jan  1 00:00:00", "Jan  2 00:00:00", "Feb 29 12:00:00"}
			text := texts[0]
			for range 400 {
				if r.IntN(6) == 0 {
					text = texts[r.IntN(len(texts))]
				}
				now = time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(200)-100) * 15 * time.Minute)
				if diff := w.same(line("t", text)); diff != "" {
					t.Fatalf("%v, fix %v, at %v: %s", loc, fix, now, diff)
				}
			}
		}
	}
}
