package geoip

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// cursor is a place in a database.
type cursor = mmdbdata.Cursor

// maxText bounds a text of a record, in bytes.
const maxText = 64 << 10

// UnmarshalMaxMindDBCursor decodes a record of a city or country database. Nested
// maps are MaxMind's and DB-IP's; flat texts are IPinfo's, which writes numbers as
// text and gives the code of the country as country_code, in older files as country.
func (c *City) UnmarshalMaxMindDBCursor(at cursor) (cursor, error) {
	var own, registered, represented country
	end, err := each(at, func(key []byte, v cursor) (next cursor, err error) {
		switch string(key) {
		case "country":
			return own.decode(v)
		case "country_code":
			own.code, next, err = text(v)
			return next, err
		case "registered_country":
			return registered.decode(v)
		case "represented_country":
			return represented.decode(v)
		case "location":
			return each(v, c.coordinate)
		}
		return c.coordinate(key, v)
	})
	for _, from := range []country{own, registered, represented} {
		if iso := from.iso(); iso != "" {
			c.IsoCode, c.InEU = iso, from.inEU
			break
		}
	}
	return end, err
}

// coordinate takes latitude and longitude, and skips the rest.
func (c *City) coordinate(key []byte, v cursor) (next cursor, err error) {
	switch string(key) {
	case "latitude", "lat":
		c.Latitude, next, err = number(v)
	case "longitude", "lng":
		c.Longitude, next, err = number(v)
	default:
		return v.Skip()
	}
	return next, err
}

// country is one of a record. code stands beside it in flat schemas.
type country struct {
	name, code string
	inEU       bool
}

// decode takes a map of a country, or its bare text. Anything else is skipped.
func (c *country) decode(v cursor) (cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return v, err
	}
	switch kind {
	case mmdbdata.KindString:
		var next cursor
		c.name, next, err = text(v)
		return next, err
	case mmdbdata.KindMap:
		return each(v, func(key []byte, v cursor) (next cursor, err error) {
			switch string(key) {
			case "iso_code":
				c.name, next, err = text(v)
				return next, err
			case "is_in_european_union":
				c.inEU, next, err = v.ReadBool()
				return next, err
			}
			return v.Skip()
		})
	}
	return v.Skip()
}

// iso is the code: the one named so, else the text where that is a code and not a
// name ("France").
func (c country) iso() string {
	if c.code != "" {
		return c.code
	}
	if len(c.name) == 2 {
		return c.name
	}
	return ""
}

// UnmarshalMaxMindDBCursor decodes a record of an ASN database. MaxMind and DB-IP
// give a number, IPinfo "AS123"; those that sell more put both below traits.
func (a *ASN) UnmarshalMaxMindDBCursor(at cursor) (cursor, error) {
	var fallback string
	var field func(key []byte, v cursor) (cursor, error)
	field = func(key []byte, v cursor) (next cursor, err error) {
		switch string(key) {
		case "autonomous_system_number", "asn":
			a.Number, next, err = systemNumber(v)
		case "autonomous_system_organization", "as_name":
			a.Org, next, err = text(v)
		case "name":
			fallback, next, err = text(v)
		default:
			return v.Skip()
		}
		return next, err
	}
	end, err := each(at, func(key []byte, v cursor) (cursor, error) {
		if string(key) == "traits" {
			return each(v, field)
		}
		return field(key, v)
	})
	if a.Org == "" {
		a.Org = fallback
	}
	return end, err
}

// each calls f for every entry of the map at v; f returns where its value ends. A
// value that is no map is skipped.
func each(v cursor, f func(key []byte, v cursor) (cursor, error)) (cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return v, err
	}
	if kind != mmdbdata.KindMap {
		return v.Skip()
	}
	m, err := v.Map()
	if err != nil {
		return v, err
	}
	var next cursor
	for {
		key, value, ok := m.Next(next)
		if !ok {
			return m.End()
		}
		if next, err = f(key, value); err != nil {
			return v, err
		}
	}
}

// text reads a text; anything else is skipped and "".
func text(v cursor) (string, cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return "", v, err
	}
	if kind != mmdbdata.KindString {
		next, err := v.Skip()
		return "", next, err
	}
	return v.ReadStringMaxSize(maxText)
}

// number reads a float, or a text that is one; anything else is skipped and 0.
func number(v cursor) (float64, cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return 0, v, err
	}
	switch kind {
	case mmdbdata.KindFloat64, mmdbdata.KindFloat32:
		return v.ReadFloat()
	case mmdbdata.KindString:
		s, next, err := text(v)
		if err != nil {
			return 0, v, err
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, v, fmt.Errorf("decoding a coordinate: %w", err)
		}
		return f, next, nil
	}
	next, err := v.Skip()
	return 0, next, err
}

// systemNumber reads the number of an autonomous system, as such or as "AS123".
// An empty text is 0.
func systemNumber(v cursor) (uint64, cursor, error) {
	kind, err := v.Kind()
	if err != nil {
		return 0, v, err
	}
	switch kind {
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
		return v.ReadUint()
	case mmdbdata.KindString:
		s, next, err := text(v)
		if err != nil || s == "" {
			return 0, next, err
		}
		if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
			s = s[2:]
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, v, fmt.Errorf("decoding the number of an autonomous system: %w", err)
		}
		return n, next, nil
	}
	next, err := v.Skip()
	return 0, next, err
}
