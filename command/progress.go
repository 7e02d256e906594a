package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows on a terminal how far something is.
type bar struct {
	w     io.Writer
	now   func() time.Time
	begin time.Time
	drawn time.Time
}

const (
	barWidth = 30
	// barEvery is how often it is drawn.
	barEvery = 100 * time.Millisecond
)

// newBar returns a bar on the terminal w, nil where w is none or nobody wants one.
// A nil bar draws nothing.
func (c *call) newBar(quiet bool) *bar {
	w := c.cmd.ErrOrStderr()
	if quiet || !terminal(w) {
		return nil
	}
	now := c.o.Now()
	return &bar{w: w, now: c.o.Now, begin: now, drawn: now}
}

// draw shows that done of total (0: nobody knows) are done, which text says in
// words.
func (b *bar) draw(done, total int64, text string) {
	if b == nil {
		return
	}
	now := b.now()
	if now.Sub(b.drawn) < barEvery {
		return
	}
	b.drawn = now
	fmt.Fprintf(b.w, "\r%s%s\033[K", gauge(done, total, now.Sub(b.begin)), text)
}

// gauge is the bar with how much is done and how long the rest will take.
func gauge(done, total int64, elapsed time.Duration) string {
	if total <= 0 {
		return ""
	}
	part := min(float64(done)/float64(total), 1)
	full := int(part * barWidth)
	left := ""
	if part > 0.02 && part < 1 {
		left = span(time.Duration(float64(elapsed)*(1-part)/part)) + " left, "
	}
	return fmt.Sprintf("[%s%s] %3.0f%% %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), part*100, left)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b != nil {
		fmt.Fprint(b.w, "\r\033[K")
	}
}

// watched draws how much of a text has been read.
type watched struct {
	r           io.Reader
	bar         *bar
	done, total int64 // bytes; total 0: nobody knows
	what        string
}

// open opens a file, or with - the standard input; close it.
func (c *call) open(file string, bar *bar) (*watched, error) {
	w := &watched{r: c.cmd.InOrStdin(), bar: bar, what: "read"}
	if file == "-" {
		return w, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	w.r = f
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		w.total = info.Size()
	}
	return w, nil
}

// Read is an io.Reader's.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.done += int64(n)
	w.bar.draw(w.done, w.total, fmt.Sprintf("%.1f MB %s", float64(w.done)/1e6, w.what))
	return n, err
}

func (w *watched) close() {
	if f, ok := w.r.(*os.File); ok && f != os.Stdin {
		_ = f.Close() // it was only read
	}
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// paint colours text for a terminal; the zero value leaves it plain.
type paint struct{ on bool }

// newPaint colours only what goes to a terminal, and only where NO_COLOR is not
// set.
func (c *call) newPaint() paint {
	return paint{os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(c.out())}
}

func (p paint) in(code, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\033[" + code + "m" + text + "\033[0m"
}

func (p paint) good(text string) string   { return p.in("32", text) }
func (p paint) bad(text string) string    { return p.in("31", text) }
func (p paint) warn(text string) string   { return p.in("33", text) }
func (p paint) dim(text string) string    { return p.in("2", text) }
func (p paint) strong(text string) string { return p.in("1", text) }
