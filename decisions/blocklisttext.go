package decisions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxListLine is the longest line of a list, in bytes; one that is longer is bad.
const maxListLine = 4096

// ReadBlocklist reads a list as people publish them: an address or a range on each
// line. What follows a # or ; is a comment. Lines that are neither, or too wide, are
// named with their numbers in the report and left out; an error is about the head,
// reading, or more than 4,194,304 entries. How much is read is for the caller to
// bound.
func ReadBlocklist(h ListHead, r io.Reader) (*Blocklist, ListReport, error) {
	var b listBuilder
	if err := h.normalise(); err != nil {
		return nil, b.report, err
	}
	lines := bufio.NewReaderSize(r, maxListLine)
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, b.report, fmt.Errorf("reading list %s: line %d: %w", h.Name, b.report.Lines+1, err)
		}
		if len(line) > 0 {
			if full := b.line(line, long); full != nil {
				return nil, b.report, fmt.Errorf("reading list %s: %w", h.Name, full)
			}
		}
		if err != nil {
			return b.finish(h), b.report, nil
		}
	}
}

// line takes one line; an error ends the reading.
func (b *listBuilder) line(line []byte, long bool) error {
	b.report.Lines++
	if long {
		b.report.refuse(fmt.Errorf("line %d: longer than %d bytes", b.report.Lines, maxListLine))
		return nil
	}
	if b.report.Lines == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if i := bytes.IndexAny(line, "#;"); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	p, _, err := parsePrefix(string(line))
	if err != nil {
		b.report.refuse(fmt.Errorf("line %d: %.60q: expected an address such as 192.0.2.7 or a range such as 192.0.2.0/24", b.report.Lines, line))
		return nil
	}
	if err := b.add(p); errors.Is(err, errListFull) {
		return err
	} else if err != nil {
		b.report.refuse(fmt.Errorf("line %d: %w", b.report.Lines, err))
	}
	return nil
}
