package notify

import "time"

// window allows a number of messages in any span of a length. Its zero value is
// ready; number and length may change between calls.
type window struct{ sent []time.Time }

// free is when the next message may go: now or before, if one may go now.
func (w *window) free(n int, per time.Duration, now time.Time) time.Time {
	for len(w.sent) > 0 && !w.sent[0].Add(per).After(now) {
		w.sent = w.sent[1:]
	}
	if n == 0 || len(w.sent) < n {
		return now
	}
	return w.sent[len(w.sent)-n].Add(per)
}

// take notes that a message goes now.
func (w *window) take(n int, now time.Time) {
	if n == 0 {
		w.sent = nil
		return
	}
	w.sent = append(w.sent, now)
	if extra := len(w.sent) - n; extra > 0 {
		w.sent = append(w.sent[:0:0], w.sent[extra:]...)
	}
}
