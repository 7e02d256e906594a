// Package caddymodule is Rampart's Caddy face: the app "rampart", the handler
// directive of the same name, the directive rampart_lapi, the listener wrapper and
// the admin routes.
//
//	Caddyfile ─► JSON ─► App ─Provision─► appliance.Settings ─Start─► node (pooled)
//	request ─► Handler ─Begin─► 403 / 429 / challenge, or next ─► recorder ─End─► node
//	/v1/*   ─► LAPIHandler ─► node's Local API
//	accept  ─► ListenerWrapper ─Refuses─► close
//
// It decides nothing itself: package appliance does. It maps Caddy's life cycle
// on to that of a node: provisioning compiles and borrows, starting commits, and
// cleaning up gives back. A node outlives configurations, because requests do.
//
// Concurrency: Caddy provisions and cleans up under its own lock; handlers and
// listeners are called from any number of goroutines and hold only the node,
// which stays callable after it was closed.
package caddymodule
