package scenarios

import (
	"slices"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// window shows a queue to conditions. It is reused.
type window struct {
	queue  *queue
	none   queue // stands in where no condition looks at a queue
	fields []string
	base   int // number of the condition's first predicate
	most   int
	filled bool // list is that of queue
	events []*event.Event
	list   event.Queue
}

var _ expression.Window = (*window)(nil)

// open shows q to the conditions of j.
func (w *window) open(q *queue, j *judge, most int) {
	if q == nil {
		q = &w.none
	}
	w.queue, w.fields, w.most, w.filled = q, j.fields, most, false
}

// close forgets the queue; the events keep their maps.
func (w *window) close() {
	w.queue, w.fields = nil, nil
	clear(w.list.Queue)
	w.list.Queue = w.list.Queue[:0]
	if len(w.events) > 64 { // what one long queue took is given back
		clear(w.events[64:])
		w.events = w.events[:64:64]
	}
}

// Len implements expression.Window.
func (w *window) Len() int { return w.queue.len() }

// Passes implements expression.Window.
func (w *window) Passes(i, n int) bool { return w.queue.at(i).holds&(1<<(w.base+n)) != 0 }

// Time implements expression.Window.
func (w *window) Time(i int) time.Time { return time.Unix(0, w.queue.at(i).time) }

// Text implements expression.Window.
func (w *window) Text(i int, path string) string {
	if ev := w.queue.event(i); ev != nil {
		s, _ := textOf(ev, path)
		return s
	}
	n := slices.Index(w.fields, path)
	if n < 0 {
		return ""
	}
	body := w.queue.body(i)
	from, to, ok := fieldRange(body, n)
	if !ok {
		return ""
	}
	return string(body[from:to])
}

// all returns the queue as whole programs see it. Events of few fields are made
// anew from their texts, in the memory of those of the pour before.
func (w *window) all() *event.Queue {
	if w.filled {
		return &w.list
	}
	w.filled = true
	w.list.L = w.most
	w.list.Queue = w.list.Queue[:0]
	for i := range w.queue.len() {
		ev := w.queue.event(i)
		if ev == nil {
			for len(w.events) <= i {
				w.events = append(w.events, &event.Event{})
			}
			ev = w.events[i]
			ev.Reset()
			w.queue.restore(i, string(w.queue.body(i)), w.fields, ev)
		}
		w.list.Queue = append(w.list.Queue, ev)
	}
	return &w.list
}
