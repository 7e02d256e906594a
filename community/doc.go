// Package community exchanges what nodes learn: it is a client of CrowdSec's Central
// API, or of a server of one's own that speaks the same, and it fetches lists of
// addresses from any URL. It decides nothing by itself: what it fetches becomes lists
// and allowlists of the Book, and what it sends is made from alerts that the Book has.
//
//	alert ─► Client.Offer ─► queue on disk ─► POST signals             (only with Config.Sharing)
//	GET decisions/stream ─► list "CAPI", lists, allowlists ─► Lists, Allow     (only with Config.Pull)
//	roster ─► POST metrics                                            (only with Config.Metrics)
//	Feed: http, https or file ─► Fetcher ─► Feeds ─► guard ─► Lists
//
// Nothing is sent or fetched until a Config with credentials, or a Feed, is given.
// Raw log lines and requests never leave the node.
//
// What pulls is the node for which Options.Leads is true; each node sends the signals of
// the alerts that it recorded itself.
//
// Client, Feeds and Fetcher are safe for concurrent use. The first two have one Run each,
// which owns its goroutines and awaits them; Offer never waits for disk or network.
package community
