package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources/file"
)

// Input is one finished log. A Path of "-" is the standard input.
type Input struct {
	Path string
	// Type is the label "type" of its lines: syslog, nginx, apache2, caddy…
	Type   string
	Labels map[string]string // further ones
}

// stdin is where "-" is read from.
const stdin = "/dev/stdin"

func (in Input) path() string {
	if in.Path == "-" {
		return stdin
	}
	return in.Path
}

func (in Input) labels() map[string]string {
	labels := map[string]string{"type": in.Type}
	maps.Copy(labels, in.Labels)
	return labels
}

// batchBytes is about how much text of one log is read ahead.
const batchBytes = 64 << 10

// batch is a piece of one log.
type batch struct {
	lines []event.Line
	bytes int64 // of text, with the ends of the lines
}

// errEnough ends the reading of a log whose rest nobody wants.
var errEnough = errors.New("no more lines are wanted")

// batches yields the lines of the log piece by piece; a piece is valid until the
// next is asked for. What went wrong, and how many lines were too long, is in end
// afterwards.
func (in Input) batches(ctx context.Context, end *ending) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		var b batch
		flush := func() bool {
			more := yield(b)
			clear(b.lines) // the texts may go
			b = batch{lines: b.lines[:0]}
			return more
		}
		err := file.Read(ctx, in.path(), in.labels(), 0, func(l event.Line) error {
			b.lines = append(b.lines, l)
			if b.bytes += int64(len(l.Raw)) + 1; b.bytes >= batchBytes && !flush() {
				return errEnough
			}
			return nil
		})
		skipped, long := errors.AsType[*file.SkippedError](err)
		switch {
		case errors.Is(err, errEnough):
			return
		case long:
			end.tooLong = int64(skipped.Lines)
		case err != nil:
			end.err = err
			return
		}
		if len(b.lines) > 0 {
			flush()
		}
	}
}

// ending is how the reading of a log ended.
type ending struct {
	tooLong int64
	err     error
}

// Size is how many bytes of text the inputs hold, for a progress bar: exact for
// plain files, the trailer's word for compressed ones, 0 where one cannot tell.
func Size(inputs []Input) int64 {
	var sum int64
	for _, in := range inputs {
		n, err := in.size()
		if err != nil || n == 0 {
			return 0
		}
		sum += n
	}
	return sum
}

func (in Input) size() (int64, error) {
	f, err := os.Open(in.path())
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s has no size: %w", in.Path, err)
	}
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || magic != [2]byte{0x1f, 0x8b} {
		return info.Size(), nil
	}
	var trailer [4]byte
	if _, err := f.ReadAt(trailer[:], info.Size()-4); err != nil {
		return 0, err
	}
	// The size modulo 4 GiB of the last member. Logs do not grow when compressed.
	n := int64(binary.LittleEndian.Uint32(trailer[:]))
	for n < info.Size() {
		n += 1 << 32
	}
	return n, nil
}
