// Package parsers turns raw lines into normalised events: it loads parser items
// in the Hub's YAML format and runs them stage by stage.
//
//	Event with Line ─► s00-raw ─► s01-parse ─► s02-enrich ─► Event with Parsed, Meta, time
//
// It holds the nodes with their filters, groks, statics, whitelists and stashes,
// the grok compiler and our own pattern library, the date parser, and the
// content that ships with Rampart (Builtin). It reads no files, asks databases and
// the DNS through the Env alone, does not decide anything and keeps no buckets.
//
// Most nodes are for lines of other programs: an index finds those that could take
// an event, and one look at a text tells which groks of several siblings could match.
// An Env that is Plain does without; a traced event too. The outcome is the same.
//
// Concurrency: a Pipeline is immutable and safe for concurrent use; one event
// belongs to one goroutine. Only stashes change while events pass, under a lock
// of their own.
package parsers
