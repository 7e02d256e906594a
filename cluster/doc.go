// Package cluster lets several nodes work as one through Redis: they share buckets,
// decisions, lists, small tables, secrets and spent challenges. It alone knows Redis.
//
// It does not detect or enforce anything, and nothing that it does holds up a
// request: pours and changes wait in bounded queues for goroutines of this package.
// While Redis is out of reach each node goes on by itself.
//
//	drops ─► Buckets ─script─► Redis ─overflow─► one node
//	rows ─► Tables ─hash, notice─► Tables of all nodes
//	Book ─ops─► Journal ─► log in Redis ─► Journals of all nodes ─► their Books
//
// All types are safe for concurrent use.
package cluster
