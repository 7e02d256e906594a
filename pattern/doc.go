// Package pattern matches texts with regular expressions in Go's syntax: the same
// results as package regexp (leftmost-first, with the same groups), many times
// faster for what grok patterns and filters are made of.
//
//	expr ─► syntax tree ─► nodes ─► machine (backtracking, bounded) ─► offsets
//	             └────────────────► Go regexp: what nodes cannot do, texts that cost too much
//
// It knows nothing of grok names, fields and events. A Pattern is immutable and safe
// for concurrent use.
package pattern
