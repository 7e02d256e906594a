package community

import (
	"errors"
	"time"
)

// wish is what a configuration wants to have pulled.
type wish struct {
	credentials          string
	pull                 bool
	noCommunity, noLists bool
}

// withdraw takes back what was pulled and, since the last Use, is not wanted any more. A
// client that only waits for credentials keeps all. What cannot be taken back now is
// tried again.
func (c *Client) withdraw(now time.Time) error {
	c.mu.Lock()
	config, used, done := c.config, c.used, c.used == c.withdrawn
	c.mu.Unlock()
	if done {
		return nil
	}
	p := &c.pull
	if next := (wish{config.Credentials, config.Pull, config.NoCommunity, config.NoLists}); next != p.wish {
		// Whoever wants something else wants it now; begin has the last word after a start.
		p.wish, p.due, p.withdrawal, p.started = next, schedule{}, schedule{}, false
	}
	if !p.withdrawal.ready(now) {
		return nil
	}
	if err := c.takeBack(config, c.o.Leads()); err != nil {
		p.withdrawal.failed(now, err)
		return err
	}
	p.withdrawal = schedule{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdrawn = used
	return nil
}

// takeBack drops what a configuration does not want. Lists are for the node that pulls to
// drop, allowlists each node's own.
func (c *Client) takeBack(config Config, leads bool) error {
	off := !config.Pull || config.Credentials == ""
	var errs []error
	if (off || config.NoCommunity) && leads {
		c.pull.ends, c.pull.started = nil, false
		errs = append(errs, c.shelf.drop(communityList))
	}
	if off || config.NoLists {
		if leads {
			errs = append(errs, c.dropOthers(nil))
		}
		errs = append(errs, c.dropAllowlists(nil))
	}
	return errors.Join(errs...)
}
