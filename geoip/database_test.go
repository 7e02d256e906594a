package geoip_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rampart-edge/rampart/geoip"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/internal/testkit/mmdbtest"
)

var prefixes = cmpopts.EquateComparable(netip.Prefix{})

type networks = map[netip.Prefix]any

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// iso is a country as MaxMind and DB-IP write it.
func iso(code string, eu bool) map[string]any {
	return map[string]any{"iso_code": code, "is_in_european_union": eu, "geoname_id": uint32(7), "names": map[string]any{"en": "of " + code}}
}

// maxmind and dbip have the same nested schema; dbip's ASN file is the lite one.
func cities() networks {
	return networks{
		prefix("192.0.2.0/25"): map[string]any{
			"city":      map[string]any{"geoname_id": uint32(1), "names": map[string]any{"en": "Lyon"}},
			"continent": map[string]any{"code": "EU", "geoname_id": uint32(2), "names": map[string]any{"en": "Europe"}},
			"country":   iso("FR", true), "registered_country": iso("US", false),
			"location":     map[string]any{"latitude": 45.75, "longitude": 4.85, "accuracy_radius": uint16(20), "time_zone": "Europe/Paris", "metro_code": uint16(3)},
			"postal":       map[string]any{"code": "69001"},
			"subdivisions": []any{map[string]any{"iso_code": "ARA", "names": map[string]any{"en": "Auvergne"}}},
			"traits":       map[string]any{"is_anonymous_proxy": true},
		},
		prefix("192.0.2.128/26"): map[string]any{"registered_country": iso("DE", true), "represented_country": iso("US", false)},
		prefix("192.0.2.192/27"): map[string]any{"represented_country": iso("GB", false)},
		prefix("192.0.2.224/27"): map[string]any{"location": map[string]any{"latitude": 1.5, "longitude": -2.0}},
		prefix("2001:db8::/32"):  map[string]any{"country": iso("JP", false)},
	}
}

// ipinfo has flat records: the free file, and the older and larger ones.
func ipinfo() networks {
	return networks{
		prefix("192.0.2.0/25"): map[string]any{"asn": "AS64500", "as_name": "Example One", "as_domain": "one.example", "country_code": "FR",
			"country": "France", "continent_code": "EU", "continent": "Europe"},
		prefix("192.0.2.128/26"): map[string]any{"asn": "64501", "name": "Example Two", "country": "DE", "country_name": "Germany", "city": "Berlin",
			"region": "Land Berlin", "lat": "52.52", "lng": "13.40", "postal_code": "10115", "timezone": "Europe/Berlin", "continent": "EU"},
		prefix("192.0.2.192/27"): map[string]any{"asn": "", "as_name": "", "country": "France"},
		prefix("192.0.2.224/27"): map[string]any{"asn": "ASx", "lat": "north"},
		prefix("2001:db8::/32"):  map[string]any{"asn": "as64502", "as_name": "Six", "country_code": "JP"},
	}
}

func database(t testing.TB, city, asn networks) *geoip.Database {
	t.Helper()
	d, err := geoip.New(mmdbtest.Database{Type: "City", IPVersion: 6, RecordSize: 28, Networks: city}.Bytes(t),
		mmdbtest.Database{Type: "ASN", IPVersion: 6, RecordSize: 24, Networks: asn}.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCity(t *testing.T) {
	nested, flat := database(t, cities(), cities()), database(t, ipinfo(), ipinfo())
	for _, c := range []struct {
		name, address string
		d             *geoip.Database
		want          geoip.City
		ok            bool
	}{
		{"own country", "192.0.2.1", nested, geoip.City{IsoCode: "FR", InEU: true, Latitude: 45.75, Longitude: 4.85, Network: prefix("192.0.2.0/25")}, true},
		{"mapped", "::ffff:192.0.2.1", nested, geoip.City{IsoCode: "FR", InEU: true, Latitude: 45.75, Longitude: 4.85, Network: prefix("192.0.2.0/25")}, true},
		{"registered", "192.0.2.130", nested, geoip.City{IsoCode: "DE", InEU: true, Network: prefix("192.0.2.128/26")}, true},
		{"represented", "192.0.2.200", nested, geoip.City{IsoCode: "GB", Network: prefix("192.0.2.192/27")}, true},
		{"none", "192.0.2.225", nested, geoip.City{Latitude: 1.5, Longitude: -2, Network: prefix("192.0.2.224/27")}, true},
		{"IPv6", "2001:db8::7", nested, geoip.City{IsoCode: "JP", Network: prefix("2001:db8::/32")}, true},
		{"zone", "2001:db8::7%eth0", nested, geoip.City{IsoCode: "JP", Network: prefix("2001:db8::/32")}, true},
		{"unknown", "198.51.100.1", nested, geoip.City{}, false},
		{"flat, code", "192.0.2.1", flat, geoip.City{IsoCode: "FR", Network: prefix("192.0.2.0/25")}, true},
		{"flat, texts", "192.0.2.130", flat, geoip.City{IsoCode: "DE", Latitude: 52.52, Longitude: 13.4, Network: prefix("192.0.2.128/26")}, true},
		{"flat, a name is no code", "192.0.2.200", flat, geoip.City{Network: prefix("192.0.2.192/27")}, true},
		{"flat, broken", "192.0.2.230", flat, geoip.City{}, false},
	} {
		got, ok := c.d.City(addr(c.address))
		if d := cmp.Diff(c.want, got, prefixes); d != "" || ok != c.ok {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, ok, d)
		}
	}
}

func TestASN(t *testing.T) {
	systems := networks{
		prefix("192.0.2.0/24"): map[string]any{"autonomous_system_number": uint32(64500), "autonomous_system_organization": "Example"},
		prefix("10.0.0.0/8"):   map[string]any{"traits": map[string]any{"autonomous_system_number": uint32(64501), "autonomous_system_organization": "Sold", "isp": "x"}},
		prefix("11.0.0.0/8"):   map[string]any{},
		prefix("12.0.0.0/8"):   "no map at all",
	}
	nested, flat := database(t, nil, systems), database(t, nil, ipinfo())
	for _, c := range []struct {
		name, address string
		d             *geoip.Database
		want          geoip.ASN
		ok            bool
	}{
		{"number", "192.0.2.1", nested, geoip.ASN{Number: 64500, Org: "Example", Network: prefix("192.0.2.0/24")}, true},
		{"below traits", "10.1.1.1", nested, geoip.ASN{Number: 64501, Org: "Sold", Network: prefix("10.0.0.0/8")}, true},
		{"empty", "11.1.1.1", nested, geoip.ASN{Network: prefix("11.0.0.0/8")}, true},
		{"not a map", "12.1.1.1", nested, geoip.ASN{Network: prefix("12.0.0.0/8")}, true},
		{"unknown", "13.1.1.1", nested, geoip.ASN{}, false},
		{"text", "192.0.2.1", flat, geoip.ASN{Number: 64500, Org: "Example One", Network: prefix("192.0.2.0/25")}, true},
		{"text without AS, name", "192.0.2.129", flat, geoip.ASN{Number: 64501, Org: "Example Two", Network: prefix("192.0.2.128/26")}, true},
		{"empty text", "192.0.2.193", flat, geoip.ASN{Network: prefix("192.0.2.192/27")}, true},
		{"no number", "192.0.2.225", flat, geoip.ASN{}, false},
		{"small letters", "2001:db8::1", flat, geoip.ASN{Number: 64502, Org: "Six", Network: prefix("2001:db8::/32")}, true},
	} {
		got, ok := c.d.ASN(addr(c.address))
		if d := cmp.Diff(c.want, got, prefixes); d != "" || ok != c.ok {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, ok, d)
		}
	}
}

func TestRecord(t *testing.T) {
	country := func(code string, eu bool) geoip.Country {
		return geoip.Country{Names: map[string]string{"en": "of " + code}, IsoCode: code, GeoNameID: 7, IsInEuropeanUnion: eu}
	}
	nested, flat := database(t, cities(), nil), database(t, ipinfo(), nil)
	for _, c := range []struct {
		name, address string
		d             *geoip.Database
		want          geoip.Record
	}{
		{"nested", "192.0.2.1", nested, geoip.Record{
			City:      geoip.Place{Names: map[string]string{"en": "Lyon"}, GeoNameID: 1},
			Continent: geoip.Continent{Names: map[string]string{"en": "Europe"}, Code: "EU", GeoNameID: 2},
			Country:   country("FR", true), RegisteredCountry: country("US", false),
			Location:     geoip.Location{TimeZone: "Europe/Paris", Latitude: 45.75, Longitude: 4.85, MetroCode: 3, AccuracyRadius: 20},
			Postal:       geoip.Postal{Code: "69001"},
			Subdivisions: []geoip.Division{{Names: map[string]string{"en": "Auvergne"}, IsoCode: "ARA"}},
			Traits:       geoip.Traits{IsAnonymousProxy: true},
		}},
		{"flat", "192.0.2.130", flat, geoip.Record{
			City: geoip.Place{Names: map[string]string{"en": "Berlin"}}, Continent: geoip.Continent{Code: "EU"},
			Country:      geoip.Country{Names: map[string]string{"en": "Germany"}, IsoCode: "DE"},
			Location:     geoip.Location{TimeZone: "Europe/Berlin", Latitude: 52.52, Longitude: 13.4},
			Postal:       geoip.Postal{Code: "10115"},
			Subdivisions: []geoip.Division{{Names: map[string]string{"en": "Land Berlin"}}},
		}},
		{"flat, free", "192.0.2.1", flat, geoip.Record{
			Continent: geoip.Continent{Names: map[string]string{"en": "Europe"}, Code: "EU"},
			Country:   geoip.Country{Names: map[string]string{"en": "France"}, IsoCode: "FR"},
		}},
		{"flat, code alone", "2001:db8::1", flat, geoip.Record{Country: geoip.Country{IsoCode: "JP"}}},
	} {
		got, ok := c.d.Record(addr(c.address))
		if d := cmp.Diff(c.want, got); d != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, ok, d)
		}
	}
	if _, ok := nested.Record(addr("198.51.100.1")); ok {
		t.Error("an unknown address has a record")
	}
}

// Every way a tree is written gives the same answers.
func TestRecordSizes(t *testing.T) {
	v4 := networks{prefix("192.0.2.0/24"): map[string]any{"country": iso("FR", true)}}
	for _, version := range []int{4, 6} {
		for _, size := range []int{24, 28, 32} {
			d, err := geoip.New(mmdbtest.Database{Type: "City", IPVersion: version, RecordSize: size, Networks: v4}.Bytes(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := d.City(addr("192.0.2.9")); !ok || got.IsoCode != "FR" || got.Network != prefix("192.0.2.0/24") {
				t.Errorf("IPv%d, %d bits: %v, %v", version, size, got, ok)
			}
			if _, ok := d.City(addr("2001:db8::1")); ok {
				t.Errorf("IPv%d, %d bits: an IPv6 address is there", version, size)
			}
		}
	}
}

func TestAbsent(t *testing.T) {
	var none *geoip.Database
	if _, ok := none.City(addr("192.0.2.1")); ok || none.HasCity() || none.HasASN() || none.Close() != nil {
		t.Error("no database knows something")
	}
	if _, ok := none.Record(addr("192.0.2.1")); ok {
		t.Error("no database has a record")
	}
	dir := t.TempDir()
	asn := filepath.Join(dir, "asn.mmdb")
	bytes := mmdbtest.Database{Type: "ASN", IPVersion: 6, RecordSize: 24, Networks: ipinfo()}.Bytes(t)
	if err := os.WriteFile(asn, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := geoip.Open(filepath.Join(dir, "city.mmdb"), asn)
	if !errors.Is(err, fs.ErrNotExist) || d.HasCity() || !d.HasASN() {
		t.Errorf("error %v, %v, %v", err, d.HasCity(), d.HasASN())
	}
	if got, ok := d.ASN(addr("192.0.2.1")); !ok || got.Number != 64500 {
		t.Errorf("%v, %v", got, ok)
	}
	if _, ok := d.ASN(netip.Addr{}); ok {
		t.Error("no address has a number")
	}
	if err := d.Close(); err != nil || d.HasASN() {
		t.Error(err)
	}
	if _, ok := d.ASN(addr("192.0.2.1")); ok {
		t.Error("it answers once closed")
	}
	if d, err := geoip.Open("", ""); err != nil || d.HasCity() || d.HasASN() {
		t.Error(err)
	}
}

// Whatever of a file is missing, it is an error or an answer, not the end.
func TestTruncated(t *testing.T) {
	whole := mmdbtest.Database{Type: "City", IPVersion: 6, RecordSize: 28, Networks: cities()}.Bytes(t)
	refused := 0
	for n := range len(whole) {
		for _, data := range [][]byte{whole[:n], whole[n:]} {
			d, err := geoip.New(data, data)
			if err != nil {
				refused++
				continue
			}
			d.City(addr("192.0.2.1"))
			d.ASN(addr("2001:db8::1"))
			d.Record(addr("192.0.2.130"))
		}
	}
	if refused < len(whole) {
		t.Errorf("only %d of %d were refused", refused, 2*len(whole))
	}
	path := filepath.Join(t.TempDir(), "empty.mmdb")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := geoip.Open(path, path); err == nil || d.HasCity() {
		t.Error("an empty file is a database")
	}
}

func FuzzDatabase(f *testing.F) {
	for _, n := range []networks{cities(), ipinfo()} {
		for _, size := range []int{24, 28, 32} {
			f.Add(mmdbtest.Database{Type: "x", IPVersion: 6, RecordSize: size, Networks: n}.Bytes(f), []byte{192, 0, 2, 130})
		}
	}
	f.Fuzz(func(_ *testing.T, data, where []byte) {
		d, err := geoip.New(data, data)
		if err != nil {
			return
		}
		a, ok := netip.AddrFromSlice(where)
		if !ok {
			a = addr("192.0.2.1")
		}
		d.City(a)
		d.ASN(a)
		d.Record(a)
	})
}

func TestLookupsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for name, d := range map[string]*geoip.Database{"nested": database(t, cities(), cities()), "flat": database(t, ipinfo(), ipinfo())} {
		a, b := addr("192.0.2.1"), addr("192.0.2.130")
		if n := testing.AllocsPerRun(1000, func() { d.City(a); d.ASN(a); d.City(b); d.ASN(b) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCity(b *testing.B) {
	d := database(b, cities(), nil)
	a := addr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		d.City(a)
	}
}

// The synthetic databases that Hub tests use.
func TestSharedDatabases(t *testing.T) {
	data := testkit.Shared(t, "hub-data")
	open := func(city, asn string) *geoip.Database {
		d, err := geoip.Open(filepath.Join(data, city), filepath.Join(data, asn))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	update := open("mmdb_update/GeoLite2-City.mmdb", "mmdb_update/GeoLite2-ASN.mmdb")
	test := open("test-mmdb/GeoLite2-Test-City.mmdb", "test-mmdb/GeoLite2-Test-ASN.mmdb")
	a := addr("1.2.3.4")
	for name, c := range map[string][2]any{
		"update city": {first(update.City(a)), geoip.City{IsoCode: "AU", Latitude: -33.494, Longitude: 143.2104, Network: prefix("1.2.3.0/24")}},
		"update ASN":  {first(update.ASN(addr("5.5.5.5"))), geoip.ASN{Number: 1, Org: "x", Network: prefix("5.5.5.0/24")}},
		"test city":   {first(test.City(a)), geoip.City{IsoCode: "FR", InEU: true, Latitude: 46, Longitude: 2, Network: prefix("1.2.3.0/24")}},
		"test ASN":    {first(test.ASN(a)), geoip.ASN{Number: 4242, Org: "Crowdsec", Network: prefix("1.2.3.0/24")}},
		"unknown":     {first(test.ASN(addr("5.5.5.5"))), geoip.ASN{}},
	} {
		if d := cmp.Diff(c[1], c[0], prefixes); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func first[T any](v T, _ bool) T { return v }
