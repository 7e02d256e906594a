// Package store keeps what must outlive the process: an embedded database of
// buckets of keys (DB), and the positions of log sources (Marks).
//
// It knows nothing of what it keeps; it does not log, cache or expire.
//
//	decisions ─► DB (bbolt, one fsync a transaction) ─► rampart.db
//	logsources ─► Marks (whole file replaced, no fsync a Save) ─► a small file
//
// A DB and Marks are safe for concurrent use. One process at a time may have a
// data directory open: the lock on rampart.db says so, and the error of a second
// opener names the first.
package store
