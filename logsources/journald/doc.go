// Package journald follows the systemd journal by running journalctl and reading
// its JSON. It does not read journal files itself: the program that the system
// ships knows their format and the rights to them.
//
//	journalctl -o json --follow --cursor=… ─► entry ─► one syslog line ─► Sink
//
// Each entry becomes one line, whatever is in it: control characters of a message
// are replaced by spaces, so that a message with a newline cannot forge a second
// line. The cursor of a batch is saved before the batch is handed to the sink: an
// entry is never delivered twice; a kill can lose one batch, 512 entries at most.
//
// Concurrency: a source runs in the goroutine that calls Run; os/exec adds one
// that waits for ctx and one that collects the program's complaints.
package journald
