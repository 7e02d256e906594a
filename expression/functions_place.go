package expression

import (
	"net"

	"github.com/rampart-edge/rampart/geoip"
)

// autonomousSystem is what GeoIPASNEnrich gives, in the names that the Go library
// of MaxMind has for it.
type autonomousSystem struct {
	AutonomousSystemNumber       uint
	AutonomousSystemOrganization string
}

// placeFunctions say where an address is and whose. CrowdSec compatible: nil without
// a database, an empty record for an address that the database does not know. What
// is no address is nil.
func (e *Env) placeFunctions() []function {
	return []function{
		{"GeoIPEnrich", new(func(string) *geoip.Record), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if addr := address(s); addr.IsValid() && e.geo.HasCity() {
				record, _ := e.geo.Record(addr)
				return &record, nil
			}
			return nil, nil
		}},
		{"GeoIPASNEnrich", new(func(string) *autonomousSystem), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if addr := address(s); addr.IsValid() && e.geo.HasASN() {
				system, _ := e.geo.ASN(addr)
				return &autonomousSystem{uint(system.Number), system.Org}, nil
			}
			return nil, nil
		}},
		{"GeoIPRangeEnrich", new(func(string) *net.IPNet), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			if system, ok := e.geo.ASN(address(s)); ok {
				n := system.Network
				return &net.IPNet{IP: n.Addr().AsSlice(), Mask: net.CIDRMask(n.Bits(), n.Addr().BitLen())}, nil
			}
			return nil, nil
		}},
		{"IPToCountry", new(func(string) string), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			record, _ := e.geo.Record(address(s))
			return record.Country.IsoCode, nil
		}},
	}
}
