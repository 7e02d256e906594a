package geoip

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile bounds a database, in bytes. The largest that are sold have half of it.
const maxFile = 2 << 30

// City is where an address is. Country is the country of the address, else the one
// it is registered in, else the one it represents (an embassy, a base).
type City struct {
	IsoCode             string // of the country, "FR"; "" where the record names none
	InEU                bool   // of the same country
	Latitude, Longitude float64
	Network             netip.Prefix // of the record
}

// ASN is whose an address is.
type ASN struct {
	Number  uint64
	Org     string
	Network netip.Prefix // of the record
}

// Database answers from up to two files. A nil Database knows nothing.
type Database struct {
	city, asn atomic.Pointer[table]
}

// table is one file.
type table struct {
	db     *maxminddb.Reader
	cities sync.Pool // of *City, so that a lookup does not allocate what it decodes into
	asns   sync.Pool // of *ASN
}

// Open reads a city and an ASN database; "" stands for none. The Database that it
// returns is never nil and answers from what could be read; the error joins what
// could not, and wraps fs.ErrNotExist where a file is not there.
func Open(city, asn string) (*Database, error) {
	d := &Database{}
	return d, errors.Join(open(&d.city, city), open(&d.asn, asn))
}

func open(into *atomic.Pointer[table], path string) error {
	if path == "" {
		return nil
	}
	data, err := read(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	t, err := newTable(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	into.Store(t)
	return nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("it has %d bytes: a database has less than %d", info.Size(), maxFile)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("it became shorter: %w", err)
	}
	return data, nil
}

// New is Open for files in memory, which it keeps; nil stands for none.
func New(city, asn []byte) (*Database, error) {
	d := &Database{}
	var faults [2]error
	for i, f := range []struct {
		what string
		into *atomic.Pointer[table]
		data []byte
	}{{"city", &d.city, city}, {"ASN", &d.asn, asn}} {
		if f.data == nil {
			continue
		}
		t, err := newTable(f.data)
		if err != nil {
			faults[i] = fmt.Errorf("reading the %s database: %w", f.what, err)
			continue
		}
		f.into.Store(t)
	}
	return d, errors.Join(faults[:]...)
}

func newTable(data []byte) (t *table, err error) {
	defer guard(&err)
	db, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, err
	}
	return &table{db: db}, nil
}

// guard turns a panic of the library into an error: what a broken file holds must
// not end the process.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the database is broken: %v", r)
	}
}

// HasCity and HasASN report whether there is such a database. Without one City and
// ASN are always false; with one, where the address is in none of its networks.
func (d *Database) HasCity() bool { return d != nil && d.city.Load() != nil }

// HasASN is described at HasCity.
func (d *Database) HasASN() bool { return d != nil && d.asn.Load() != nil }

// City returns where a is. An IPv4 address mapped into IPv6 is IPv4, a zone does
// not count.
func (d *Database) City(a netip.Addr) (City, bool) {
	if !d.HasCity() || !a.IsValid() {
		return City{}, false
	}
	t := d.city.Load()
	if t == nil {
		return City{}, false
	}
	into, _ := t.cities.Get().(*City)
	if into == nil {
		into = &City{}
	}
	*into = City{}
	network, ok := t.decode(a, into)
	out := *into
	t.cities.Put(into)
	if !ok {
		return City{}, false
	}
	out.Network = network
	return out, true
}

// ASN returns whose a is, as City says where.
func (d *Database) ASN(a netip.Addr) (ASN, bool) {
	if !d.HasASN() || !a.IsValid() {
		return ASN{}, false
	}
	t := d.asn.Load()
	if t == nil {
		return ASN{}, false
	}
	into, _ := t.asns.Get().(*ASN)
	if into == nil {
		into = &ASN{}
	}
	*into = ASN{}
	network, ok := t.decode(a, into)
	out := *into
	t.asns.Put(into)
	if !ok {
		return ASN{}, false
	}
	out.Network = network
	return out, true
}

// decode writes the record of a to into. A record that is broken, and an IPv6
// address in a database of IPv4, count as not found.
func (t *table) decode(a netip.Addr, into any) (network netip.Prefix, ok bool) {
	var err error
	defer func() { ok = ok && err == nil }()
	defer guard(&err)
	found := t.db.Lookup(a.Unmap().WithZone(""))
	if !found.Found() {
		return netip.Prefix{}, false
	}
	if err = found.Decode(into); err != nil {
		return netip.Prefix{}, false
	}
	return found.Prefix(), true
}

// Close lets the memory go; lookups afterwards find nothing. It cannot fail.
func (d *Database) Close() error {
	if d != nil {
		d.city.Store(nil)
		d.asn.Store(nil)
	}
	return nil
}
