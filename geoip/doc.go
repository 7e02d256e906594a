// Package geoip tells where an address is and whose it is, from databases in the
// MaxMind format: a city (or country) database and one of autonomous systems. It
// reads the records of MaxMind (GeoLite2, GeoIP2), DB-IP and IPinfo, which name
// their fields differently. It downloads nothing and resolves no names.
//
//	address ─► tree ─► record, whichever schema ─► City or ASN, with the network of the record
//
// Files are read into memory, not mapped: a mapped file that an update truncates in
// place kills the process with a signal that Go cannot handle, and a city database
// is 60 MB. An update is a new Database.
//
// Concurrency: a Database is immutable and safe for concurrent use; lookups neither
// lock nor, once a text has been seen, allocate.
package geoip
