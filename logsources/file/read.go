package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// ErrTooLong is in the error of Read when lines were skipped because of their
// length; all others were delivered.
var ErrTooLong = errors.New("lines are too long")

// SkippedError is the ErrTooLong of Read: how many lines of which file.
type SkippedError struct {
	Path  string
	Lines int
	Limit int // bytes of a line
}

// Error implements error.
func (e *SkippedError) Error() string {
	return fmt.Sprintf("reading %s: skipped %d over %d bytes: %v", e.Path, e.Lines, e.Limit, ErrTooLong)
}

// Unwrap returns ErrTooLong.
func (*SkippedError) Unwrap() error { return ErrTooLong }

// Read goes through the file at path once, from start to end, and calls fn for
// each line until fn fails. A file that starts like gzip is decompressed,
// whatever its name. Lines are cut as a source does it, but the last one counts
// without a newline too, since nothing will follow. Line.Time is when it was
// read; Line.Src is path. A maxLine of 0 means DefaultMaxLine.
//
// The error is that of ctx, of fn as it is, or one that names path. With
// ErrTooLong (a *SkippedError), everything that is not too long has been delivered.
func Read(ctx context.Context, path string, labels map[string]string, maxLine int, fn func(event.Line) error) error {
	if maxLine <= 0 {
		maxLine = DefaultMaxLine
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	r, err := plain(f)
	if err != nil {
		return fmt.Errorf("decompressing %s: %w", path, err)
	}
	line := event.Line{Src: path, Labels: labels, Module: "file"}
	skipped, err := eachLine(ctx, r, maxLine, func(text []byte) error {
		line.Raw = string(text)
		return fn(line)
	}, func() { line.Time = time.Now() })
	var re readError
	if errors.As(err, &re) {
		return fmt.Errorf("reading %s: %w", path, re.error)
	}
	if err == nil && skipped > 0 {
		return &SkippedError{Path: path, Lines: skipped, Limit: maxLine}
	}
	return err
}

// plain returns r, decompressed if it is gzip.
func plain(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, chunkBytes)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		return gzip.NewReader(b)
	}
	return b, nil
}

// readError is an error of the file, as opposed to one of its reader's user.
type readError struct{ error }

// eachLine calls fn for every line of r with at most maxLine bytes and filled
// whenever more was read. It returns how many lines were longer.
func eachLine(ctx context.Context, r io.Reader, maxLine int, fn func([]byte) error, filled func()) (skipped int, err error) {
	buf := make([]byte, 0, max(chunkBytes, maxLine+2))
	skip := false
	for end := false; !end; {
		if err := ctx.Err(); err != nil {
			return skipped, err
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end = err == io.EOF
		if err != nil && !end {
			return skipped, readError{err}
		}
		filled()
		rest := buf
		for len(rest) > 0 {
			text, after, ok := bytes.Cut(rest, []byte{'\n'})
			if !ok && !end {
				break
			}
			rest = after
			text = bytes.TrimSuffix(text, []byte{'\r'})
			switch {
			case skip || len(text) > maxLine:
				skip = false
				skipped++
			case len(text) > 0:
				if err := fn(text); err != nil {
					return skipped, err
				}
			}
		}
		if skip || len(rest) == cap(buf) {
			skip, rest = true, nil
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
	}
	if skip {
		skipped++
	}
	return skipped, nil
}
