package community

import (
	"errors"
	"time"
)

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = 15 * time.Minute
)

// schedule says when a job is due. It is a value of one goroutine.
type schedule struct {
	due   time.Time
	fails int
}

func (s *schedule) ready(now time.Time) bool { return !now.Before(s.due) }

// done puts the job off until its next time, give or take a part.
func (s *schedule) done(now time.Time, every time.Duration, part float64) {
	s.fails = 0
	s.due = now.Add(jitter(every, part))
}

// failed puts it off by a length that doubles from 5 s to 15 min, or as the server
// asked; a part of it is chance, so that nodes that failed together do not come together.
func (s *schedule) failed(now time.Time, err error) {
	wait := min(firstBackoff<<min(s.fails, 20), maxBackoff)
	s.fails++
	wait = jitter(wait, 0.3)
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter > wait {
		wait = jitter(status.RetryAfter*11/10, 0.09) // not before, and not all at once
	}
	s.due = now.Add(wait)
}
