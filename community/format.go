package community

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Formats of lists.
const (
	FormatText = "text" // an address or a range on each line, comments behind # or ;
	FormatCSV  = "csv"
)

const (
	// peeked is how much of a CSV file is looked at to find out what it is like.
	peeked = 32 << 10
	// maxLine is the longest line of a CSV file, in bytes; the rest of a longer one is
	// left out.
	maxLine = 64 << 10
)

// format says how a list is written.
type format struct {
	csv       bool
	delimiter byte   // 0: what it looks like
	column    string // number from 1, or name in the first line; "": the first with addresses
}

func (f format) String() string { return fmt.Sprint(f.csv, " ", f.delimiter, " ", f.column) }

// newFormat reads the three options.
func newFormat(name, delimiter, column string) (format, error) {
	f := format{csv: name == FormatCSV, column: column}
	if name != "" && name != FormatText && name != FormatCSV {
		return f, fmt.Errorf("format %q: expected %s or %s", name, FormatText, FormatCSV)
	}
	if !f.csv && (delimiter != "" || column != "") {
		return f, errors.New("delimiter and column are of the format csv")
	}
	switch {
	case delimiter == `\t` || delimiter == "tab":
		f.delimiter = '\t'
	case len(delimiter) == 1 && delimiter[0] > ' ' && delimiter[0] < 0x7f && delimiter[0] != '"' || delimiter == "\t":
		f.delimiter = delimiter[0]
	case delimiter != "":
		return f, fmt.Errorf("delimiter %q: expected one character, or tab", delimiter)
	}
	if n, err := strconv.Atoi(column); err == nil && n < 1 {
		return f, fmt.Errorf("column %q: the first is 1", column)
	}
	return f, nil
}

// lines returns the list as text, an entry on each line.
func (f format) lines(r io.Reader) (io.Reader, error) {
	if !f.csv {
		return r, nil
	}
	in := bufio.NewReaderSize(r, maxLine)
	head, err := in.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	c := &column{in: in, delimiter: f.delimiter}
	sample := sampleLines(head, err != nil)
	if c.delimiter == 0 {
		c.delimiter = guessDelimiter(sample)
	}
	if err := c.find(f.column, sample); err != nil {
		return nil, err
	}
	return c, nil
}

// sampleLines are the lines that head holds, without comments; whole says that it is all
// there is.
func sampleLines(head []byte, whole bool) [][]byte {
	var out [][]byte
	for len(head) > 0 && len(out) < 50 {
		line, rest, ended := bytes.Cut(head, []byte("\n"))
		if !ended && !whole {
			break
		}
		if head = rest; !skipped(line) {
			out = append(out, bytes.TrimPrefix(line, []byte("\ufeff")))
		}
	}
	return out
}

// skipped are blank lines and comments.
func skipped(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// guessDelimiter returns the one that most lines have in front of or behind an address.
func guessDelimiter(sample [][]byte) byte {
	best, most := byte(','), 0
	for _, delimiter := range []byte(",;\t|") {
		n := 0
		for _, line := range sample {
			if fields := split(line, delimiter); len(fields) > 1 && addressAt(fields) >= 0 {
				n++
			}
		}
		if n > most {
			best, most = delimiter, n
		}
	}
	return best
}

// addressAt is the index of the first field that is an address or a range, -1 if none is.
func addressAt(fields []string) int {
	for i, f := range fields {
		if _, err := netip.ParseAddr(f); err == nil {
			return i
		}
		if _, err := netip.ParsePrefix(f); err == nil {
			return i
		}
	}
	return -1
}

// split cuts a line into fields, without blanks and quotes around them. Fields that span
// lines are none that hold an address.
func split(line []byte, delimiter byte) []string {
	var out []string
	for rest, more := line, true; more; {
		var f []byte
		f, rest, more = cutField(rest, delimiter)
		out = append(out, string(f))
	}
	return out
}

// cutField returns the first field of a line, what is behind it, and whether there is
// more.
func cutField(line []byte, delimiter byte) (field, rest []byte, more bool) {
	trimmed := bytes.TrimLeft(line, " ")
	if len(trimmed) > 0 && trimmed[0] == '"' {
		if i := bytes.IndexByte(trimmed[1:], '"'); i >= 0 {
			_, rest, more = bytes.Cut(trimmed[i+2:], []byte{delimiter})
			return bytes.TrimSpace(trimmed[1 : i+1]), rest, more
		}
	}
	field, rest, more = bytes.Cut(line, []byte{delimiter})
	return bytes.TrimSpace(field), rest, more
}

// column reads one column of a CSV file, as lines.
type column struct {
	in        *bufio.Reader
	delimiter byte
	index     int
	titled    bool // the first line names the columns
	lines     int
	out       []byte
	rest      []byte // of out, not read yet
	err       error
}

// find finds the column by number, name, or what the sample looks like.
func (c *column) find(name string, sample [][]byte) error {
	if len(sample) == 0 {
		return nil
	}
	titles := split(sample[0], c.delimiter)
	c.titled = addressAt(titles) < 0
	if n, err := strconv.Atoi(name); err == nil {
		c.index = n - 1
		return nil
	}
	if name != "" {
		for i, t := range titles {
			if strings.EqualFold(t, name) {
				c.index, c.titled = i, true
				return nil
			}
		}
		return fmt.Errorf("there is no column %q; the first line has %.200q", name, titles)
	}
	for _, line := range sample {
		if i := addressAt(split(line, c.delimiter)); i >= 0 {
			c.index = i
			return nil
		}
	}
	return fmt.Errorf("no column has addresses; the first line has %.200q", titles)
}

// Read gives the column's fields, a line each; lines that are too short give empty
// ones.
func (c *column) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.out = c.out[:0]
		for len(c.out) < 4<<10 && c.err == nil {
			c.next()
		}
		c.rest = c.out
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// next takes one line.
func (c *column) next() {
	line, err := c.in.ReadSlice('\n')
	for long := err; errors.Is(long, bufio.ErrBufferFull); {
		// What is behind is of no interest, unless the column is there: then it is missed
		// and the line counts as bad.
		line = bytes.Clone(line[:min(len(line), maxLine/2)])
		_, long = c.in.ReadSlice('\n')
		err = long
	}
	c.err = err
	if skipped(line) {
		return
	}
	if c.lines++; c.lines == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
		if c.titled {
			return
		}
	}
	var f []byte
	for i, more := 0, true; i <= c.index; i++ {
		if !more {
			f = nil
			break
		}
		f, line, more = cutField(line, c.delimiter)
	}
	c.out = append(append(c.out, f...), '\n')
}
