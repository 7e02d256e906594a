package file

import (
	"encoding/json"
	"io"
)

const (
	headSize = 256 // bytes at the start of a file that identify it
	lastSize = 64  // bytes before the position that identify it
)

// checksum is the FNV-1a sum of N bytes. It guards against mistakes, not against
// someone who writes the log: nothing is decided in favour of anybody by it.
type checksum struct {
	N   int    `json:"n"`
	Sum uint64 `json:"sum"`
}

func sumOf(b []byte) checksum {
	if len(b) == 0 {
		return checksum{}
	}
	sum := uint64(0xcbf29ce484222325)
	for _, c := range b {
		sum = (sum ^ uint64(c)) * 0x100000001b3
	}
	return checksum{len(b), sum}
}

// position says how far a file was read and how to know the file again.
type position struct {
	identity
	From string   `json:"from,omitempty"` // the path where the file was first followed
	Real string   `json:"real,omitempty"` // where the symbolic link led to
	Off  int64    `json:"off"`
	Skip bool     `json:"skip,omitempty"` // Off is inside a line that is too long
	Head checksum `json:"head"`
	Last checksum `json:"last"`
}

// record is what is kept for one path.
type record struct {
	Files   []position `json:"files"`             // oldest first
	Retired []position `json:"retired,omitempty"` // done with; known, so that copies of them are not read again
}

func decodeRecord(b []byte) (record, error) {
	var r record
	err := json.Unmarshal(b, &r)
	for i := range r.Files {
		r.Files[i].Off = max(0, r.Files[i].Off)
	}
	return r, err
}

// matches reports whether r, which has size bytes, has the content that p was
// read from, as far as p knows it.
func (p *position) matches(r io.ReaderAt, size int64) bool {
	if size < p.Off || size < int64(p.Head.N) || p.Head.N > headSize || p.Last.N > lastSize || p.Off < int64(p.Last.N) {
		return false
	}
	var buf [headSize]byte
	return same(r, 0, buf[:p.Head.N], p.Head) && same(r, p.Off-int64(p.Last.N), buf[:p.Last.N], p.Last)
}

// certain reports whether a file with p's content can only be the file of p or a
// copy of it. A short file may share all of its content, say one line that is
// always the first one, with its successor.
func (p *position) certain() bool { return p.Head.N == headSize && p.Last.N == lastSize }

func same(r io.ReaderAt, off int64, buf []byte, want checksum) bool {
	if len(buf) == 0 {
		return true
	}
	n, _ := r.ReadAt(buf, off)
	return n == len(buf) && sumOf(buf) == want
}
