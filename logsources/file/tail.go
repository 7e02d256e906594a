package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/event"
)

// Bounds of what is on its way to the sink at a time, and thus of what a kill
// can lose.
const (
	chunkLines = 512
	chunkBytes = 64 << 10
)

// errTruncated says that a file no longer has the content that was read from it.
var errTruncated = errors.New("file was truncated")

// tail is one open file and how far it was read.
type tail struct {
	id   identity
	path string // where it was found
	from string // where it was found first: its copies and successors have names like that
	real string // where symbolic links led, if elsewhere
	f    *os.File
	off  int64    // behind the last line delivered
	skip bool     // off is inside a line that is too long
	head checksum // of the start of the file
	last []byte   // the bytes before off
	hole bool     // was truncated: a writer without O_APPEND leaves zeros before its next line

	gone  bool      // no longer at its path
	quiet time.Time // of a gone one: since when it yielded nothing
	eof   bool      // the last read found nothing more
}

// openTail opens the file at path at its start.
func openTail(path string) (*tail, info, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe put there meanwhile must not block
	if err != nil {
		return nil, info{}, err
	}
	in, err := lookAt(f)
	if err == nil && !in.mode.IsRegular() {
		err = &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, in, err
	}
	t := &tail{id: in.id, path: path, from: path, f: f}
	if real := resolve(path); real != path {
		t.real = real
	}
	return t, in, nil
}

// resume puts t where p says. A position whose content is unknown (the file could
// not be read when it was taken) is moved back to the start of its line.
func (t *tail) resume(p *position, maxLine int) {
	t.off, t.skip, t.head = p.Off, p.Skip, p.Head
	if p.From != "" {
		t.from = p.From
	}
	if p.Head.N == 0 {
		t.seekLine(p.Off, maxLine)
	}
	t.remember(nil)
}

// seekLine puts t at the start of the line that the byte before off ends or
// belongs to. If that is further back than a line may be long, the rest of
// the line will be skipped.
func (t *tail) seekLine(off int64, maxLine int) {
	n := min(off, int64(maxLine)+2)
	buf := make([]byte, n)
	got, _ := t.f.ReadAt(buf, off-n)
	nl := bytes.LastIndexByte(buf[:got], '\n')
	switch {
	case nl >= 0:
		t.off = off - n + int64(nl) + 1
	case n == off:
		t.off = 0
	default:
		t.off, t.skip = off, true
	}
}

// remember keeps the bytes before t.off, of which passed are the latest; all are
// read again if passed is too short.
func (t *tail) remember(passed []byte) {
	n := int(min(t.off, lastSize))
	if len(passed) >= n {
		t.last = append(t.last[:0], passed[len(passed)-n:]...)
		return
	}
	if passed != nil {
		t.last = append(t.last, passed...)
		t.last = append(t.last[:0], t.last[max(0, len(t.last)-n):]...)
		return
	}
	t.last = make([]byte, n, 2*lastSize)
	got, _ := t.f.ReadAt(t.last, t.off-int64(n))
	t.last = t.last[:got]
}

func (t *tail) position() position {
	return position{identity: t.id, From: t.from, Real: t.real, Off: t.off, Skip: t.skip, Head: t.head, Last: sumOf(t.last)}
}

// restart puts t back to the start of what is a new file now.
func (t *tail) restart() {
	t.off, t.skip, t.head, t.last, t.hole, t.eof = 0, false, checksum{}, t.last[:0], true, false
}

// read fills buf with what follows t.off. It returns io.EOF when there is nothing
// and errTruncated when the file is not what it was. The bytes before t.off are
// read in the same call, so that nothing is taken from behind a truncation that
// happens meanwhile.
func (t *tail) read(buf []byte) ([]byte, error) {
	k := len(t.last)
	n, err := t.f.ReadAt(buf, t.off-int64(k))
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n < k || !bytes.Equal(buf[:k], t.last) {
		return nil, errTruncated
	}
	if n == k {
		return nil, io.EOF
	}
	if !t.sameHead() {
		return nil, errTruncated
	}
	return buf[k:n], nil
}

// sameHead compares the start of the file with what it was and learns more of it
// while the file is short.
func (t *tail) sameHead() bool {
	var b [headSize]byte
	n, _ := t.f.ReadAt(b[:], 0)
	if n < t.head.N || sumOf(b[:t.head.N]) != t.head {
		return false
	}
	if n > t.head.N {
		t.head = sumOf(b[:n])
	}
	return true
}

// chunk is a number of lines that are delivered together.
type chunk struct {
	lines           []event.Line
	used            int // bytes of the data that are done with
	binary, tooLong int64
	skip, hole      bool // of the tail, afterwards
}

// split cuts complete lines out of data, which starts at t.off. full says that
// data is as long as it can get, so that a line without end in it is too long.
func (t *tail) split(data []byte, full bool, maxLine int, line event.Line) chunk {
	c := chunk{skip: t.skip, hole: t.hole}
	if c.hole {
		c.used = len(data) - len(bytes.TrimLeft(data, "\x00"))
		c.hole = c.used == len(data)
	}
	for len(c.lines) < chunkLines && c.used < len(data) {
		end := bytes.IndexByte(data[c.used:], '\n')
		if end < 0 {
			if c.skip || full && c.used == 0 {
				c.skip, c.used = true, len(data)
			}
			break
		}
		if c.used > 0 && c.used+end > chunkBytes {
			break
		}
		text := bytes.TrimSuffix(data[c.used:c.used+end], []byte{'\r'})
		c.used += end + 1
		switch {
		case c.skip || len(text) > maxLine:
			c.skip = false
			c.tooLong++
			continue
		case len(text) == 0:
			continue
		}
		if junk(text) {
			c.binary++
		}
		line.Raw = string(text)
		if c.lines == nil {
			c.lines = make([]event.Line, 0, min(chunkLines, 1+bytes.Count(data[c.used:], []byte{'\n'})))
		}
		c.lines = append(c.lines, line)
	}
	return c
}

// advance moves t behind a chunk.
func (t *tail) advance(data []byte, c *chunk) {
	t.off += int64(c.used)
	t.skip, t.hole = c.skip, c.hole
	t.remember(data[:c.used])
}

// junk reports whether a line looks like no text: a zero byte, or control
// characters together with bytes that are no UTF-8. Latin-1 text is text.
func junk(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 {
		return true
	}
	if utf8.Valid(b) {
		return false
	}
	return bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' && r != 0x1b })
}

// place is where a tail was, to go back to.
type place struct {
	off        int64
	skip, hole bool
	last       []byte
}

func (t *tail) mark() place {
	return place{t.off, t.skip, t.hole, bytes.Clone(t.last)}
}

func (t *tail) reset(p place) {
	t.off, t.skip, t.hole, t.last = p.off, p.skip, p.hole, append(t.last[:0], p.last...)
}
