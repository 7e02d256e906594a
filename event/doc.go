// Package event holds what happened: one log line or one live request and the
// fields that parsers gave it, and what scenarios make of it: an overflow with
// its sources and alerts.
//
//	line or request ─► Event ─► (buckets) ─► Event with Overflow ─► Alert
//
// Field and method names are those that CrowdSec's expressions use, so that Hub
// content runs unmodified. The package neither parses nor evaluates anything
// and knows no other package of ours.
//
// Concurrency: an Event belongs to one goroutine at a time; it is handed on,
// never shared. Whoever keeps a part of an event beyond that copies it. Alert and
// Source are plain values under the same rule.
package event
