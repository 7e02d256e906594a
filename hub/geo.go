package hub

import (
	"bytes"
	"path/filepath"
	"slices"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/geoip"
)

// The names under which CrowdSec looks for its databases.
const (
	cityFile = "GeoLite2-City.mmdb"
	asnFile  = "GeoLite2-ASN.mmdb"
)

// places opens the databases of places, if any item asks for places. An item may
// declare which files have the two names; where none does, those in the data
// folder are taken. One that is not there knows nothing.
func (c *Content) places() (*geoip.Database, []*Problem) {
	if !c.asksForPlaces() {
		return nil, nil
	}
	city, asn := c.database(cityFile), c.database(asnFile)
	db, err := geoip.Open(c.data.path(city.file), c.data.path(asn.file))
	if err == nil {
		return db, nil
	}
	item := city.item
	if item.Name == "" {
		item = asn.item
	}
	return db, []*Problem{{Kind: item.Kind, Name: item.Name, Path: item.Path, Warn: true, Err: err}}
}

func (c *Content) asksForPlaces() bool {
	asks := func(data []byte) bool {
		return bytes.Contains(data, []byte("GeoI")) || bytes.Contains(data, []byte("IpToRange"))
	}
	for _, p := range slices.Concat(c.Parsers, c.Postoverflows) {
		if asks(p.Data) {
			return true
		}
	}
	for _, s := range c.Scenarios {
		if asks(s.Data) {
			return true
		}
	}
	return false
}

// database is the first declaration of a file of this name. CrowdSec compatible:
// later ones do not count.
func (c *Content) database(name string) declared {
	for _, d := range c.files {
		if d.file.DestFile == name {
			return d
		}
	}
	return declared{file: expression.DataFile{DestFile: name}}
}

// path returns where a data file is for whoever opens it by path, "" where it is
// not there.
func (d *Data) path(f expression.DataFile) string {
	found := d.Find(f)
	if !d.has(found) {
		return ""
	}
	return filepath.Join(d.dir, filepath.FromSlash(found))
}
