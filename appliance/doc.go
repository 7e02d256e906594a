// Package appliance assembles everything and runs it: settings compiled from a
// configuration, the node that outlives configurations, and the way of one live
// request through it.
//
//	Config ─Compile─► Settings ─Use─► Appliance: sources, queue ─► engine ─► book ─► set, firewall
//	                                  Begin(request) ─► Visit ─► End(status)
//	alerts recorded here ─► announcer ─► notifications, Central API
//	own listener, LocalAPI(site) ─► localapi.Server ─► profiles ─► book
//
// It knows nothing of Caddy: package caddymodule maps Caddy's life cycle on to
// New, Use and Close. New opens nothing; the first Use opens the data directory.
//
// Concurrency: all methods of Appliance are safe for concurrent use, also after
// Close, when requests pass unexamined. A Visit belongs to its request.
package appliance
