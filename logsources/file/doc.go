// Package file follows growing log files: through every kind of rotation, over
// restarts, with bounded memory. It does not interpret lines; compressed files
// are only read by Read, which goes through a finished file once.
//
//	patterns ─► scan ─► lineages (the files that were at one path) ─► tails ─► chunks of lines ─► Sink
//
// # At most once
//
// A line is never delivered twice, not even when the process is killed: the
// position behind a chunk is saved before the chunk is handed to the sink. What a
// kill can lose is therefore the chunk on its way, at most 512 lines or 64 KiB
// (one line, if that is longer), and what the sink took and has not worked on. For
// a program that bans by counting lines, to
// count some twice is worse than to miss some. An orderly stop loses nothing if
// the sink answers logsources.ErrRefused for what it did not take. The one
// exception: while positions cannot be saved (a full disk), lines are delivered
// all the same and the status says so; a blind detector would be worse.
//
// # Where reading starts
//
// A file that exists when its pattern is used for the first time is read from
// its end (or from its start: Options.FromStart); one that appears later, even
// while the process is down, is read from its start. CrowdSec starts at the end
// in both cases and loses what was written before it noticed the file. Half lines
// are never delivered: reading starts at the beginning of an unfinished line and
// waits for the end of one.
//
// # What is the same file
//
// A file is known by device and inode (and time of birth, where there is one) and
// by its content: a checksum of its first 256 bytes and one of the 64 bytes
// before the position. Content decides: a reused inode is a new file, a file
// edited in place, copied back or moved to another device is not. When a path
// gets another file, the old one is read to its end and followed for a minute
// more, since its writer may not have noticed. Generations that came and went
// between two looks are found among the siblings that rotation left (x.1,
// x-20260102, x.old), likewise after a restart; with a rotation every few
// milliseconds one can be missed nevertheless. After a copytruncate the rest is
// read from the copy if there is one uncompressed; what was written between the
// copy and the truncation is lost by that method itself.
//
// Both inotify and polling are always in use: inotify for speed, polling because
// inotify misses network file systems, overflows and what happens behind
// symbolic links.
//
// Concurrency: one goroutine per source reads all its files in turn; nothing here
// is shared between sources. fsnotify adds one goroutine per source.
package file
