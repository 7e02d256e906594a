package localapi

import (
	"net/http"
	"strconv"
)

// outputRoom is how much of an answer is gathered before it is sent.
const outputRoom = 64 << 10

// output is a JSON answer that is written piece by piece, in bounded memory. A short
// one is sent whole, with its length. The first error of the connection stays.
type output struct {
	c      *call
	buf    []byte // not sent yet
	begun  bool   // open was called
	sent   bool   // the header is out
	length bool   // tell the length of a short answer
	kind   string // Content-Type
	err    error
}

func newOutput(c *call) *output {
	return &output{c: c, buf: make([]byte, 0, 4<<10), length: true, kind: jsonType}
}

// open begins the answer, or separates an element from the one before.
func (o *output) open(first, next string) {
	if o.begun {
		first = next
	}
	o.buf, o.begun = append(o.buf, first...), true
}

// spill sends what was gathered if that is enough.
func (o *output) spill() error {
	if len(o.buf) < outputRoom {
		return o.err
	}
	return o.send()
}

// send sends what was gathered.
func (o *output) send() error {
	if !o.sent {
		o.c.w.Header().Set("Content-Type", o.kind)
		o.c.w.WriteHeader(http.StatusOK)
		o.sent = true
	}
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.c.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
	return o.err
}

// close ends the answer: with end, or with empty as all of it if nothing was opened.
// A client that went away is no error of the call's.
func (o *output) close(end, empty string) error {
	if o.begun {
		o.buf = append(o.buf, end...)
	} else {
		o.buf = append(o.buf, empty...)
	}
	if !o.sent && o.length {
		o.c.w.Header().Set("Content-Length", strconv.Itoa(len(o.buf)))
	}
	_ = o.send()
	return nil
}
