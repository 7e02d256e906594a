package replay

import (
	"container/heap"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/rampart-edge/rampart/event"
)

// reader is the engine, as far as logs need it.
type reader interface {
	// Read parses and dates one line; false: there is nothing to pour.
	Read(l event.Line) (*event.Event, time.Time, bool)
	Take(ev *event.Event, at time.Time)
	Done(ev *event.Event)
}

// stream is one log on its way through the merge: the event that comes next, and
// the piece of text it was read from.
type stream struct {
	index int // among the inputs: the first of equal instants goes first
	next  func() (batch, bool)
	stop  func()
	end   ending
	left  []event.Line

	event *event.Event
	at    time.Time // of the event
	place time.Time // the latest instant of this log so far, which orders it among the others
}

// merge reads logs side by side and takes their events in the order of their
// instants. Of each log it holds one event and one piece of text, whatever its
// size. Lines of one log keep their order: one that is older than the line before
// it is taken right after that one, at its own time.
type merge struct {
	reader  reader
	streams []*stream // a heap by place
	tooLong int64
	// seen is told after each piece how much was read. It may be nil.
	seen func(lines int, bytes int64)
	// took is told of each event after it was taken. It may be nil.
	took func(at time.Time)
}

// run takes all events of the inputs.
func (m *merge) run(ctx context.Context, inputs []Input) (err error) {
	defer func() {
		for _, s := range m.streams {
			m.reader.Done(s.event)
			s.stop()
		}
	}()
	for i, in := range inputs {
		s := &stream{index: i}
		s.next, s.stop = iter.Pull(in.batches(ctx, &s.end))
		more, err := m.advance(s)
		if err != nil {
			s.stop()
			return err
		}
		if more {
			heap.Push(m, s)
		}
	}
	for len(m.streams) > 0 {
		s := m.streams[0]
		m.reader.Take(s.event, s.at)
		m.reader.Done(s.event)
		if m.took != nil {
			m.took(s.at)
		}
		s.event = nil
		more, err := m.advance(s)
		switch {
		case err != nil:
			return err
		case more:
			heap.Fix(m, 0)
		default:
			heap.Pop(m)
		}
	}
	return nil
}

// advance finds the next event of a log; false: there is none.
func (m *merge) advance(s *stream) (bool, error) {
	for {
		for i, l := range s.left {
			ev, at, ok := m.reader.Read(l)
			if !ok {
				continue
			}
			s.event, s.at, s.left = ev, at, s.left[i+1:]
			if at.After(s.place) {
				s.place = at
			}
			return true, nil
		}
		b, ok := s.next()
		if !ok {
			m.tooLong += s.end.tooLong
			s.stop()
			if s.end.err != nil {
				return false, fmt.Errorf("replaying: %w", s.end.err)
			}
			return false, nil
		}
		s.left = b.lines
		if m.seen != nil {
			m.seen(len(b.lines), b.bytes)
		}
	}
}

// Len implements heap.Interface.
func (m *merge) Len() int { return len(m.streams) }

// Less implements heap.Interface.
func (m *merge) Less(i, j int) bool {
	a, b := m.streams[i], m.streams[j]
	if c := a.place.Compare(b.place); c != 0 {
		return c < 0
	}
	return a.index < b.index
}

// Swap implements heap.Interface.
func (m *merge) Swap(i, j int) { m.streams[i], m.streams[j] = m.streams[j], m.streams[i] }

// Push implements heap.Interface.
func (m *merge) Push(x any) {
	if s, ok := x.(*stream); ok {
		m.streams = append(m.streams, s)
	}
}

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	n := len(m.streams) - 1
	s := m.streams[n]
	m.streams[n] = nil
	m.streams = m.streams[:n]
	return s
}
