package localapi

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// eventsPath is ours: the stream as server-sent events.
	eventsPath = "/rampart/v1/decisions/events"
	maxWait    = 60 * time.Second
	// eventSize is how many decisions are in one event at most.
	eventSize = 1000
	// keepAlive is how often somebody who listens for events hears that we are there,
	// and has to be somebody who still may.
	keepAlive = 15 * time.Second
	// eventTimeout is how long it may take to send what there is at one time.
	eventTimeout = 10 * time.Minute
)

// readWait reads for how long a call waits for news, in seconds.
func readWait(v url.Values) (time.Duration, error) {
	text := v.Get("wait")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fail(http.StatusBadRequest, "invalid wait value %.100q: expected seconds, at most %d count", text, maxWait/time.Second)
	}
	return min(time.Duration(n)*time.Second, maxWait), nil
}

// errNews ends a telling that only asks whether there is something to tell.
var errNews = errors.New("there is news")

// bell is a sink that stops at the first decision.
type bell struct{}

func (bell) add(form, func([]byte) []byte) error { return errNews }

// await waits until there is something to tell to a caller whose cursor is from, and
// returns from where to tell it. Where too many wait already it does not.
func (c *call) await(sel *selection, from Cursor, wait time.Duration) (Cursor, error) {
	if !c.s.streams.enter() {
		return from, nil
	}
	defer c.s.streams.leave()
	wake, stop := c.s.o.Book.Watch()
	defer stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		next, err := newTelling(c.s, sel, from, bell{}).tell()
		switch {
		case errors.Is(err, errNews):
			return from, nil
		case err != nil:
			return from, err
		}
		from = next
		select {
		case <-wake:
		case <-timer.C:
			return from, nil
		case <-c.s.closed:
			return from, nil
		case <-c.r.Context().Done():
			return from, c.r.Context().Err()
		}
	}
}

// getEvents is the stream as events, for as long as the caller listens: what is in
// force with startup=true, else what changed since the last call, then every change
// as it comes.
func (c *call) getEvents() error {
	v, err := c.query()
	if err != nil {
		return err
	}
	sel, err := readStream(v)
	if err != nil {
		return err
	}
	if !c.s.streams.enter() {
		return fail(http.StatusServiceUnavailable, "%d callers wait for events already", maxWaiting)
	}
	defer c.s.streams.leave()
	wake, stop := c.s.o.Book.Watch()
	defer stop()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	ready := make(chan struct{})
	close(ready)
	page := newStreamPage(c)
	page.kind, page.before, page.after, page.most = "text/event-stream", "event: decisions\ndata: ", "\n\n", eventSize
	c.w.Header().Set("Cache-Control", "no-cache")
	page.buf = append(page.buf, ": decisions\n\n"...) // so that the caller hears at once
	from := c.cursor(v)
	for {
		if from, err = c.tellEvents(sel, from, page); err != nil {
			return err
		}
		next := wake
		if from.Left != "" || from.Epoch == "" { // there is more, of values whose end was told
			next = ready
		}
		select {
		case <-next:
		case <-alive.C:
			if err := c.stillMay(); err != nil {
				return err
			}
			page.buf = append(page.buf, ": still here\n\n"...)
		case <-c.s.closed:
			return nil
		case <-c.r.Context().Done():
			return nil
		}
	}
}

// stillMay finds out anew who calls, as of now.
func (c *call) stillMay() error {
	c.now, c.config = c.s.o.Now(), c.s.config.Load()
	return c.admit()
}

// tellEvents sends what there is to tell since a cursor, and returns the next one.
func (c *call) tellEvents(sel *selection, from Cursor, page *streamPage) (Cursor, error) {
	// Deadlines of the connection are for requests that end. Those of a handler of
	// somebody else's cannot always be moved.
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(eventTimeout))
	next, err := newTelling(c.s, sel, from, page).tell()
	if page.n > 0 {
		page.finish()
	}
	if err := errors.Join(err, page.flush()); err != nil {
		return from, err
	}
	if next != from {
		c.s.o.Registry.Pulled(c.bouncer.Name, c.bouncer.Type, next)
	}
	return next, nil
}
