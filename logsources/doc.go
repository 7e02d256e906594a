// Package logsources reads log lines from outside the process and hands them
// to the engine. It holds the contract of a source and the supervisor that
// keeps sources running; each kind of source is a package below this one. It
// neither parses lines nor knows what they mean.
//
//	file, journal, … ─► Source.Run ─► []event.Line ─► Sink (the engine)
//
// A kind of input belongs here if it yields text lines that parsers read. Live
// requests do not: they reach the engine as events, without a line.
//
// Concurrency: a Supervisor is safe for concurrent use. It runs each source in
// one goroutine; a source may start others but has to await them.
package logsources
