package community

import (
	"encoding/json"
	"fmt"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	defaultPreview = 20
	maxPreview     = 1000
	// noLogin stands for the login in a preview without credentials.
	noLogin = "(login)"
)

// Preview returns signals as they are, or would be, sent: encoded they are the very
// JSON. With sharing on, those that wait come first, the oldest first; the newest
// alerts of the Book follow, as far as they would be shared and limit (0: 20) goes. So
// it shows before sharing is turned on what turning it on means.
func (c *Client) Preview(limit int) ([]Signal, error) {
	if limit <= 0 {
		limit = defaultPreview
	}
	limit = min(limit, maxPreview)
	config, api := c.now()
	login := noLogin
	if api != nil {
		login = api.cred.Login
	}
	out, seen, err := c.waiting(limit)
	if err != nil {
		return nil, err
	}
	for _, a := range c.o.Book.Alerts(decisions.AlertFilter{Limit: maxPreview}) {
		if len(out) >= limit {
			break
		}
		if s, err := c.newSignal(&a, &config.Share, login); err == nil && !seen[s.UUID] {
			out = append(out, s)
		}
	}
	return out, nil
}

// waiting returns the signals that wait, and their uuids.
func (c *Client) waiting(limit int) ([]Signal, map[string]bool, error) {
	rows, err := c.queue.peek(limit, maxQueuedBytes)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	for _, body := range c.inbox {
		rows = append(rows, queued{body: body})
	}
	c.mu.Unlock()
	out, seen := []Signal{}, map[string]bool{}
	for _, row := range rows[:min(limit, len(rows))] {
		var s Signal
		if err := json.Unmarshal(row.body, &s); err != nil {
			return nil, nil, fmt.Errorf("reading a signal that waits: %w", err)
		}
		out = append(out, s)
		seen[s.UUID] = true
	}
	return out, seen, nil
}
