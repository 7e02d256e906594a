// Package capitest is a double of the Central API for tests: it knows watchers, login,
// reset and enrolment, the stream of decisions with its beginning and its changes,
// signals, metrics and usage metrics, and the files of blocklists and allowlists with
// their conditional requests. It refuses what the real one would refuse, writes down
// all it gets, and fails as tests want it to. The vendor console's remote orders (PAPI)
// are not in it.
//
//	test ─► Start ─► Server.SetCommunity, SetBlocklist, SetAllowlist, Fail
//	client ─► faults ─► endpoints ─► Server.Requests, Signals, Machines
//
// A Server is safe for concurrent use and ends with its test.
package capitest
