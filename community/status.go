package community

import (
	"context"
	"fmt"
	"time"
)

// Status is how the exchange with the Central API goes. Zero instants: not since the
// process started, or for LastPull never.
type Status struct {
	Enabled      bool   `json:"enabled"`                // there are credentials, and something to do
	Off          string `json:"off,omitempty"`          // why not
	URL          string `json:"url,omitempty"`          // of the server
	Login        string `json:"login,omitempty"`        // of the node there
	Leads        bool   `json:"leads"`                  // this node is the one that pulls
	Pull         bool   `json:"pull"`                   // as configured
	Sharing      bool   `json:"sharing"`                // as configured
	Metrics      bool   `json:"metrics"`                // as configured
	Organisation string `json:"organisation,omitempty"` // that the node is enrolled in
	Subscription string `json:"subscription,omitempty"`

	Reachable bool      `json:"reachable"`      // the last call succeeded
	Since     time.Time `json:"since,omitzero"` // of Reachable being as it is

	LastPull    time.Time `json:"last_pull,omitzero"`
	NextPull    time.Time `json:"next_pull,omitzero"`
	LastPush    time.Time `json:"last_push,omitzero"` // of signals, also when there were none to send
	LastMetrics time.Time `json:"last_metrics,omitzero"`

	Queue      int   `json:"queue"`       // signals that wait
	QueueBytes int64 `json:"queue_bytes"` // of them
	Sent       int64 `json:"sent"`        // signals that the server took
	Dropped    int64 `json:"dropped"`     // signals that found no place
	Refused    int64 `json:"refused"`     // signals that were too large, or bad to the server

	Community  int          `json:"community"`            // entries of the community list
	Skipped    int          `json:"skipped"`              // of the last pull: entries that cannot be on a list
	Lists      []ListStatus `json:"lists,omitempty"`      // that the account is subscribed to
	Allowlists []ListStatus `json:"allowlists,omitempty"` // likewise

	LastError string    `json:"last_error,omitempty"`
	ErrorAt   time.Time `json:"error_at,omitzero"`
}

// ListStatus is how it goes with one list.
type ListStatus struct {
	Name    string    `json:"name"`
	Type    string    `json:"type,omitempty"`
	Entries int       `json:"entries"`
	Fetched time.Time `json:"fetched,omitzero"`  // last success, also when nothing had changed
	Until   time.Time `json:"until,omitzero"`    // end of what is in force
	Left    int       `json:"left,omitempty"`    // lines that are no address or too wide
	Problem string    `json:"problem,omitempty"` // why the last try changed nothing
}

// Status tells how it goes.
func (c *Client) Status() Status {
	c.mu.Lock()
	s := c.status
	s.Off, s.Pull, s.Sharing, s.Metrics = c.off, c.config.Pull, c.config.Sharing, c.config.Metrics
	api := c.api
	c.mu.Unlock()
	c.pull.report(&s)
	s.Leads = c.o.Leads()
	var lost int64
	s.Queue, s.QueueBytes, lost = c.queue.size()
	s.Dropped, s.Refused = lost+c.full.Load(), c.refused.Load()
	if api != nil {
		s.URL, s.Login = api.cred.URL, api.cred.Login
		claims := api.claims()
		s.Organisation, s.Subscription = claims.Organisation, claims.Subscription
		s.Enabled = s.Pull || s.Sharing || s.Metrics
	}
	if !s.Enabled || !s.Pull || !s.Leads {
		s.NextPull = time.Time{}
	}
	if l := c.shelf.current(communityList); l != nil {
		s.Community = l.Len()
	}
	return s
}

// note keeps how an attempt went.
func (c *Client) note(now time.Time, what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.status
	if reachable := err == nil; s.Since.IsZero() || s.Reachable != reachable {
		s.Reachable, s.Since = reachable, now
	}
	if err != nil {
		s.LastError, s.ErrorAt = fmt.Sprintf("%s: %v", what, err), now
		return
	}
	switch what {
	case "signals":
		s.LastPush = now
	case "metrics":
		s.LastMetrics = now
	}
}

// Check logs in, if there is no token yet, and says whether that works.
func (c *Client) Check(ctx context.Context) error {
	api, err := c.server()
	if err != nil {
		return err
	}
	_, err = api.bearer(ctx)
	c.note(c.o.Now(), "login", err)
	return err
}
