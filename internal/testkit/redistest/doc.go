// Package redistest starts real Redis servers for tests: one alone, a primary with
// replica and Sentinels, a Redis Cluster, and a proxy that delays, cuts and resets.
// They live on free loopback ports in the test's directory and end with the test. It
// is no client: tests bring their own, and what the harness itself asks it asks in a
// few lines of RESP.
//
//	test ─► Start, StartSentinel, StartCluster ─► redis-server processes
//	test ─► Proxy ─► one of them
//
// Servers and proxies may be used from several goroutines. A test is skipped, with a
// line that says why, where redis-server is not installed.
package redistest
