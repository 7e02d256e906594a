package file

import (
	"io/fs"
	"time"
)

// identity is what the file system calls a file. Born is the time of birth in Unix
// nanoseconds, 0 where unknown: it tells apart files that had one inode in turn.
type identity struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born,omitempty"`
}

// info is what one look at a file shows.
type info struct {
	id    identity
	size  int64
	mtime time.Time
	mode  fs.FileMode
	gid   int
}
