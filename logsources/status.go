package logsources

import "time"

// State says what a source is doing.
type State string

// The states of a source.
const (
	Waiting State = "waiting" // its predecessor has not ended yet
	Running State = "running"
	Failing State = "failing" // ended with an error, will be started again
	Stopped State = "stopped"
)

// Status is what one source looks like at one instant.
type Status struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Type  string `json:"type"`
	State State  `json:"state"`
	// Error is the present trouble in words a person can act on; empty if all
	// is well. A source may deliver lines and have trouble at the same time:
	// one unreadable file among many.
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"error_since,omitzero"` // since when Error has been this text
	Started    time.Time `json:"started,omitzero"`     // of the present run
	NextStart  time.Time `json:"next_start,omitzero"`  // zero unless Failing
	LastLine   time.Time `json:"last_line,omitzero"`   // zero: no line yet
	// LastLineAge is the time since LastLine, or -1 if there was no line.
	LastLineAge time.Duration `json:"-"`

	Lines       int64 `json:"lines"`
	Bytes       int64 `json:"bytes"`
	TooLong     int64 `json:"too_long"`
	Binary      int64 `json:"binary"`
	Truncations int64 `json:"truncations"`
	Rotations   int64 `json:"rotations"`
	Restarts    int64 `json:"restarts"`
	Files       int64 `json:"files"`
}

// status fills in the counts.
func (c *Counters) status(s *Status, now time.Time) {
	s.Lines, s.Bytes = c.Lines.Load(), c.Bytes.Load()
	s.TooLong, s.Binary = c.TooLong.Load(), c.Binary.Load()
	s.Truncations, s.Rotations = c.Truncations.Load(), c.Rotations.Load()
	s.Restarts, s.Files = c.Restarts.Load(), c.Files.Load()
	s.LastLineAge = -1
	if ns := c.LastLine.Load(); ns != 0 {
		s.LastLine = time.Unix(0, ns)
		s.LastLineAge = max(0, now.Sub(s.LastLine))
	}
}
