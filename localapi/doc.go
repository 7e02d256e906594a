// Package localapi is the server side of CrowdSec's Local API: what bouncers ask,
// what agents and cscli send, and who may do either. The formats, status codes and
// habits are theirs, so that unmodified clients work.
//
// It decides nothing and keeps no decisions: those are the Book's. It knows who may
// call (Registry), and answers out of the Book. It does not talk to the Central API.
//
//	Listener ─┐                              ┌─► decisions, stream, alerts, allowlists ─► Book
//	site ─────┴─► mux ─► who calls? ─► call ─┤
//	                       │                 └─► login, registration, heartbeat, usage metrics
//	                       ▼                                        │
//	                    Registry (memory) ◄─────────────────────────┘
//	                       └─ every ten seconds what changed ─► Store (disk, or a fleet's tables)
//
// Two privileges come from the place a call is made from (deleting alerts,
// registering where only local machines may): they need this package's own Listener,
// a loopback address or the unix socket, and no forwarding header.
//
// All exported types are safe for concurrent use. A Registry has one goroutine, a
// Listener one for accepting and what net/http starts for its connections; each is
// awaited by its Close.
package localapi
