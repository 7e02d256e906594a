// Package hub knows where items come from and what they amount to together: it
// resolves names of parsers, postoverflows, scenarios, contexts and collections
// in one catalogue, compiles a selection of them into one set of rules, and runs
// the tests that Hub items come with.
//
//	names ─► Catalogue ─► Content (bytes, in order) ─► Ruleset (compiled) ─► engine
//	.tests/NAME ─► Runner ─► Ruleset ─► engine ─► assertions ─► Report
//
// It reads directories and never the network, writes nothing but what Create and
// WriteDumps are asked for, and prints nothing.
//
// Concurrency: Catalogue, Content and Ruleset are immutable and safe to share. A
// Runner runs tests in goroutines that it awaits; each test has an engine of its
// own.
package hub
