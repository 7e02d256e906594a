package journald

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/logsources"
)

const (
	batchLines = 512
	maxLine    = 64 << 10 // bytes of a delivered line
	maxEntry   = 1 << 20  // bytes of the JSON of an entry
	alive      = time.Second
	patience   = 5 * time.Second // for the program to end when told to
)

// ErrNoJournalctl says that the program is not there.
var ErrNoJournalctl = errors.New("journalctl is not installed")

// position is what is kept between runs.
type position struct {
	Cursor string `json:"cursor,omitempty"`
	// Since is when the source first ran, in Unix seconds: where to go on as long
	// as there was no entry.
	Since int64 `json:"since,omitempty"`
}

// source follows the journal once.
type source struct {
	set settings
	env logsources.Environment
	pos position
	any bool // an entry was read

	unsaved bool // the cursor could not be saved
}

// Run follows the journal until ctx is done, journalctl ends or the sink fails.
//
// With a position to go on from, it first reads without following: journalctl
// --follow shows the entries of the present boot alone, and what was written
// between our stop and a reboot would be lost.
func (s *source) Run(ctx context.Context, sink logsources.Sink) error {
	// The child is to die with us. The kernel ties that to the thread that
	// started it, which must therefore live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.load()
	if s.pos != (position{}) {
		if err := s.run(ctx, sink, s.from()...); err != nil {
			return err
		}
		return s.run(ctx, sink, append(s.from(), "--follow", "--no-tail")...)
	}
	s.pos.Since = s.env.Now().Unix()
	s.save()
	return s.run(ctx, sink, "--follow", "--lines=0")
}

// from returns the arguments that make journalctl start at the position. The entry
// with the cursor itself is shown again and dropped here: --after-cursor skips one
// entry whatever it is, also when the one with the cursor is not shown, being of
// another boot or deleted.
func (s *source) from() []string {
	if s.pos.Cursor != "" {
		return []string{"--cursor=" + s.pos.Cursor}
	}
	return []string{"--since=@" + strconv.FormatInt(s.pos.Since, 10)}
}

// run starts journalctl with args and delivers what it says. It returns nil when
// journalctl ended well and was not to follow.
func (s *source) run(ctx context.Context, sink logsources.Sink, args ...string) error {
	follows := slices.Contains(args, "--follow")
	args = slices.Concat(s.set.command, []string{"--output=json", "--all", "--no-pager", "--quiet", "--output-fields=" + fields}, args, s.set.match)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = patience
	complaints := &lastBytes{limit: 2048}
	cmd.Stderr = complaints
	dieWithParent(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", args[0], err)
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("following the journal: %w (%s not found): install systemd's journalctl, or read a log file with a file source instead", ErrNoJournalctl, args[0])
		}
		return fmt.Errorf("starting %s: %w", args[0], err)
	}
	well := time.AfterFunc(alive, func() { s.env.Report(nil) })
	err = s.follow(ctx, out, sink)
	asked := ctx.Err() != nil
	if err != io.EOF {
		cancel()
	}
	ended := cmd.Wait()
	well.Stop()
	switch {
	case asked:
		return ctx.Err()
	case err != io.EOF:
		return err
	case !follows && ended == nil:
		return nil
	}
	s.checkCursor(complaints.String())
	return fmt.Errorf("following the journal: %s ended (%s): %s", args[0], outcome(ended), orNothing(complaints.String()))
}

// load reads the position that was kept.
func (s *source) load() {
	b, ok := s.env.Positions.Load(s.set.positionKey())
	if ok && json.Unmarshal(b, &s.pos) != nil {
		s.env.Logger.Warn("cursor is damaged, reading on from now")
		s.pos = position{}
	}
}

func (s *source) save() {
	b, _ := json.Marshal(&s.pos) // a string and a number cannot fail
	err := s.env.Positions.Save(s.set.positionKey(), b)
	if err != nil {
		s.env.Report(fmt.Errorf("saving the journal cursor: %w: after a restart, entries may be read twice", err))
	} else if s.unsaved {
		s.env.Report(nil)
	}
	s.unsaved = err != nil
}

// checkCursor gives up a cursor that journalctl refuses, or it would refuse it for
// ever.
func (s *source) checkCursor(complaint string) {
	if s.any || s.pos.Cursor == "" || !strings.Contains(strings.ToLower(complaint), "cursor") {
		return
	}
	s.env.Logger.Warn("journalctl refuses the saved cursor, reading on from now", zap.String("cursor", s.pos.Cursor))
	s.pos = position{Since: s.env.Now().Unix()}
	s.save()
}

// follow reads entries until out ends (io.EOF) or the sink fails.
func (s *source) follow(ctx context.Context, out io.Reader, sink logsources.Sink) error {
	r := bufio.NewReaderSize(out, maxEntry)
	for {
		lines, err := s.batch(r)
		if len(lines) > 0 || err == nil {
			if err := s.deliver(ctx, sink, lines); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// batch waits for one entry and takes along the others that are there already. It
// moves the cursor but does not save it.
func (s *source) batch(r *bufio.Reader) ([]event.Line, error) {
	var lines []event.Line
	for n := 0; n < batchLines; n++ {
		if n > 0 && !buffered(r) {
			break
		}
		b, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			s.env.Counters.TooLong.Add(1)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			b = nil
		}
		if err != nil { // what precedes it without a newline is no entry
			return lines, err
		}
		s.env.Counters.Bytes.Add(int64(len(b)))
		if l, ok := s.entry(bytes.TrimSpace(b)); ok {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// buffered reports whether the next line can be read without waiting.
func buffered(r *bufio.Reader) bool {
	b, _ := r.Peek(r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

func (s *source) entry(b []byte) (event.Line, bool) {
	if len(b) == 0 {
		return event.Line{}, false
	}
	e, err := decode(b)
	if err != nil {
		s.env.Counters.Binary.Add(1)
		s.env.Logger.Debug("skipping what is no journal entry", zap.Error(err))
		return event.Line{}, false
	}
	s.any = true
	if e.Cursor == s.pos.Cursor {
		return event.Line{}, false
	}
	s.pos = position{Cursor: e.Cursor}
	now := s.env.Now()
	raw := e.line(now)
	if len(raw) > maxLine {
		s.env.Counters.TooLong.Add(1)
		return event.Line{}, false
	}
	return event.Line{Raw: raw, Src: "journald", Time: now, Labels: s.set.labels, Module: "journald"}, raw != ""
}

// deliver saves the cursor and then hands over the lines.
func (s *source) deliver(ctx context.Context, sink logsources.Sink, lines []event.Line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before, had := s.env.Positions.Load(s.set.positionKey())
	s.save()
	if len(lines) == 0 {
		return nil // entries without a message
	}
	at := lines[len(lines)-1].Time // the lines are the sink's from here on
	n := int64(len(lines))
	if err := sink.Accept(ctx, lines); err != nil {
		if had && errors.Is(err, logsources.ErrRefused) {
			if err := s.env.Positions.Save(s.set.positionKey(), before); err != nil {
				return fmt.Errorf("putting the journal cursor back: %w", err)
			}
		}
		return err
	}
	s.env.Counters.Lines.Add(n)
	s.env.Counters.LastLine.Store(at.UnixNano())
	return nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	limit int
	buf   []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	if n := len(l.buf) - l.limit; n > 0 {
		l.buf = l.buf[:copy(l.buf, l.buf[n:])]
	}
	return len(p), nil
}

// String is called after the program has ended.
func (l *lastBytes) String() string { return strings.TrimSpace(clean(string(l.buf))) }

func outcome(err error) string {
	if err == nil {
		return "without an error"
	}
	return err.Error()
}

func orNothing(s string) string {
	if s == "" {
		return "it said nothing"
	}
	return s
}
