// Package replay runs rules over finished logs, offline: which alerts there would
// have been (Run), and what each step made of single lines (Explain).
//
//	logs ─► merge by event time ─► engine ─► alerts
//	line ─► engine, watched ─► Explanation: nodes, changes, buckets, alerts
//
// It knows nothing of a running node: no decision is made and no state is read or
// written, but where a dump is asked for. It renders nothing.
//
// Concurrency: a Session is for one goroutine. Run starts none that outlives it.
package replay
