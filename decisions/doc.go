// Package decisions says what is to be done about whom, and remembers it: the
// profiles that turn an alert into decisions, the journal that keeps them, the
// allowlist that is asked first, large lists of addresses (Blocklist), and the set
// that a request is looked up in.
//
// It does not enforce anything and does not detect anything; it calls nobody.
// Those who enforce read the Set (inline) or follow the journal (Since, Watch).
//
//	alert ─► Profiles ─► Journal (Book: memory, disk) ─┬─► Set ◄─ Lookup(address)
//	                       ▲ Allow, asked first        ├─► Since, ListsSince, Watch ─► firewall, streams
//	      what the fleet says: Adopt, Reconcile ─► Book └─► Ops ─► the fleet's log
//
// Beside it stand what is asked before (Allow: named lists of addresses, ranges, host
// names and URLs; Simulating: scenarios, sites and lists without consequences) and the
// Aggregator, which follows the journal and bans ranges of which many addresses are
// banned.
//
// A Book that is shared (Share) is one node's copy of what a fleet has decided. Every
// local change is an Op, and whoever carries ops (package cluster) brings those of all
// nodes back in one order, which makes the copies alike; what comes is checked like
// what is made here, and suppressed where this node allows.
//
// What changed is remembered: the latest state of each decision in force, ends and
// changes of lists for a day and a bounded number of them, also over a restart. A
// subscriber goes on from a cursor, or after a restart from an instant (CursorAt).
//
// Set.Lookup and Allow.Contains take no lock and allocate nothing. Everything
// else is safe for concurrent use; writers are serialised, and never wait for the
// disk unless its bounded queue is full.
package decisions
