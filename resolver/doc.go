// Package resolver asks the DNS for the names of addresses and the addresses of
// names. Answers and failures are kept for a while, equal questions that come
// together are asked once, and no more than a fixed number is open at a time: what
// exceeds it is refused and counted, not queued. An answer may take seconds, so a
// request that a visitor waits for must never lead here.
//
//	address ─► kept? ─► being asked? ─► room? ─► DNS, 3 s ─► kept ─► names
//
// Concurrency: a Resolver is safe for concurrent use. It starts no goroutine: who
// asks first does the asking, the others wait.
package resolver
