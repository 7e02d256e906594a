package geoip

import "net/netip"

// Record is a whole record of a city database in the names that MaxMind's own Go
// library has, which expressions of CrowdSec use: Record.Country.IsoCode.
type Record struct {
	City               Place       `maxminddb:"city"`
	Continent          Continent   `maxminddb:"continent"`
	Country            Country     `maxminddb:"country"`
	Location           Location    `maxminddb:"location"`
	Postal             Postal      `maxminddb:"postal"`
	RegisteredCountry  Country     `maxminddb:"registered_country"`
	RepresentedCountry Represented `maxminddb:"represented_country"`
	Subdivisions       []Division  `maxminddb:"subdivisions"`
	Traits             Traits      `maxminddb:"traits"`
}

// The parts of a Record. Names are by language: "en", "fr".
type (
	// Place is a town.
	Place struct {
		Names     map[string]string `maxminddb:"names"`
		GeoNameID uint              `maxminddb:"geoname_id"`
	}
	// Continent is one of seven: "EU".
	Continent struct {
		Names     map[string]string `maxminddb:"names"`
		Code      string            `maxminddb:"code"`
		GeoNameID uint              `maxminddb:"geoname_id"`
	}
	// Country is a state: "FR".
	Country struct {
		Names             map[string]string `maxminddb:"names"`
		IsoCode           string            `maxminddb:"iso_code"`
		GeoNameID         uint              `maxminddb:"geoname_id"`
		IsInEuropeanUnion bool              `maxminddb:"is_in_european_union"`
	}
	// Represented is the state that owns an embassy or a base.
	Represented struct {
		Names             map[string]string `maxminddb:"names"`
		IsoCode           string            `maxminddb:"iso_code"`
		Type              string            `maxminddb:"type"`
		GeoNameID         uint              `maxminddb:"geoname_id"`
		IsInEuropeanUnion bool              `maxminddb:"is_in_european_union"`
	}
	// Division is a part of a state.
	Division struct {
		Names     map[string]string `maxminddb:"names"`
		IsoCode   string            `maxminddb:"iso_code"`
		GeoNameID uint              `maxminddb:"geoname_id"`
	}
	// Location is a point, and how far around it the address may be, in km.
	Location struct {
		TimeZone       string  `maxminddb:"time_zone"`
		Latitude       float64 `maxminddb:"latitude"`
		Longitude      float64 `maxminddb:"longitude"`
		MetroCode      uint    `maxminddb:"metro_code"`
		AccuracyRadius uint16  `maxminddb:"accuracy_radius"`
	}
	// Postal is the code of an area.
	Postal struct {
		Code string `maxminddb:"code"`
	}
	// Traits is what else is known.
	Traits struct {
		IsAnonymousProxy    bool `maxminddb:"is_anonymous_proxy"`
		IsSatelliteProvider bool `maxminddb:"is_satellite_provider"`
	}
)

// flat is a record of IPinfo.
type flat struct {
	Country       string `maxminddb:"country"`
	CountryName   string `maxminddb:"country_name"`
	Continent     string `maxminddb:"continent"`
	ContinentCode string `maxminddb:"continent_code"`
	City          string `maxminddb:"city"`
	Region        string `maxminddb:"region"`
	PostalCode    string `maxminddb:"postal_code"`
	TimeZone      string `maxminddb:"timezone"`
}

// Record returns the whole record of a. It allocates; for the country and the place
// City is enough.
func (d *Database) Record(a netip.Addr) (Record, bool) {
	where, ok := d.City(a)
	if !ok {
		return Record{}, false
	}
	t := d.city.Load()
	if t == nil {
		return Record{}, false
	}
	var r Record
	_, ok = t.decode(a, &r)
	if !ok || where.IsoCode != "" && r.Country.IsoCode+r.RegisteredCountry.IsoCode+r.RepresentedCountry.IsoCode == "" {
		r = t.flat(a, where)
	}
	return r, true
}

// flat makes a Record of a schema that has none of its fields.
func (t *table) flat(a netip.Addr, where City) Record {
	r := Record{Country: Country{IsoCode: where.IsoCode}, Location: Location{Latitude: where.Latitude, Longitude: where.Longitude}}
	var f flat
	if _, ok := t.decode(a, &f); !ok {
		return r
	}
	country := f.CountryName
	if country == "" && len(f.Country) > 2 {
		country = f.Country
	}
	r.Country.Names, r.City.Names = english(country), english(f.City)
	r.Continent = Continent{Names: english(f.Continent), Code: f.ContinentCode}
	if f.ContinentCode == "" && len(f.Continent) == 2 {
		r.Continent = Continent{Code: f.Continent}
	}
	if f.Region != "" {
		r.Subdivisions = []Division{{Names: english(f.Region)}}
	}
	r.Postal.Code, r.Location.TimeZone = f.PostalCode, f.TimeZone
	return r
}

func english(name string) map[string]string {
	if name == "" {
		return nil
	}
	return map[string]string{"en": name}
}
