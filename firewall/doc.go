// Package firewall keeps banned addresses out of the machine: it owns one
// nftables table and drops the packets of banned addresses before connection
// tracking and routing see them.
//
// It does not decide who is banned and for how long, it knows nothing of
// requests or decisions, and it leaves every other table alone. It never reads
// the kernel's sets back: what should be there is held in memory, differences
// are computed from that, and a table that somebody else broke is built anew.
//
//	Set, Add, Remove ─► mirror (what should be) ─► changes ─► netlink ─► table inet rampart ─► drop
//
// Bans are elements of hash maps (address → mark of the origin) with a time-out
// each, one map per family and prefix length, so that one change costs the same
// with ten bans and with a million, and a ban ends without us. Everything else
// (hook, rules, allow sets) changes by a second table filled beside the first
// and a single transaction that swaps the two, which no packet can slip through.
//
// A Table is safe for concurrent use. Writers run one after another; readers
// (List, Explain, Stats) wait for memory updates only, never for a write to the
// kernel; Render waits for its turn among the writers. Start begins one goroutine for checks and reports and, with
// nftables, one that listens for changes; Close stops and awaits both.
package firewall
