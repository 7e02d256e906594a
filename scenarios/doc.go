// Package scenarios turns Hub scenarios into rules, and events into overflows.
//
//	YAML ─► Scenario ─► Rules ──Drops(event)──► Drop ──Pour──► Memory ────────────────► Overflow ─► overflow event
//	                                             └────Each──► Remote ─► Pour … Spill ─► Remote ─┘
//
// A Scenario is compiled once and never changes. Rules is an immutable index over
// scenarios: it finds those whose filter an event can pass without running most
// filters. Memory holds the buckets: plain structs in sharded slabs, with no
// goroutine, timer or channel for any of them; what is due to expire, or to overflow
// at the end of a duration, does so when it is next touched or swept. The names of
// keys, the arithmetic and the texts in alerts are CrowdSec's, so that Hub content
// gives the same alerts.
//
// Buckets may be kept elsewhere, too: Remote makes of a drop what their keeper has to
// know, asks their conditions, and makes the Overflow; Evidence keeps their samples.
//
// The package does not parse lines, does not run postoverflows and decides
// nothing: profiles do. It never waits for disk or network.
//
// Concurrency: Scenario, Rules and Overflow are safe for concurrent use; so are
// Remote, Evidence and Memory. The lock of a shard covers the update of one bucket
// and never an expression; pours into buckets with conditions take turns while these
// are asked, which holds up no other pour.
package scenarios
