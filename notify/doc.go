// Package notify tells people and programs about alerts: by HTTP, Slack, e-mail and
// file (Splunk and Sentinel too), with the YAML and the templates of CrowdSec's
// notifications. It does not decide who is told of what (profiles do, by the names
// of receivers), does not keep what waits across a restart, and runs no plugins.
//
//	alert, names ─► Notify ─► queue of each receiver ─► groups ─► rate ─► text/template ─► send, retry
//	                            │ full: dropped            │ too many: counted      ▲
//	                            └────────────► tally ◄─────┘ ── digest ─────────────┘
//
// Each receiver has one bounded queue and one goroutine, so that one that hangs
// holds up neither the others nor whoever calls Notify. Nothing is lost silently: what is
// dropped or exceeds the rate is counted, and where the receiver can say it, told in
// a digest with the next message that may go out.
//
// Concurrency: a Notifier is safe for concurrent use; Notify never waits. Receivers
// are immutable. New starts nothing, Use starts the goroutines of the receivers,
// Close stops and awaits them.
package notify
