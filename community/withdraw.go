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
	p := &c.pull
	if !p.withdrawal.ready(now) {
		return nil
	}
	c.mu.Lock()
	config, look, leads := c.config, c.unwanted, c.o.Leads()
	c.unwanted = false
	c.mu.Unlock()
	if !look {
		return nil
	}
	err := c.takeBack(config, leads)
	if err == nil {
		p.withdrawal = schedule{}
		return nil
	}
	p.withdrawal.failed(now, err)
	c.mu.Lock()
	c.unwanted = true
	c.mu.Unlock()
	return err
}

// takeBack drops what a configuration does not want. Lists are for the node that pulls to
// drop, allowlists each node's own.
func (c *Client) takeBack(config Config, leads bool) error {
	p := &c.pull
	if now := (wish{config.Credentials, config.Pull, config.NoCommunity, config.NoLists}); now != p.wish {
		// Whoever wants something else wants it now; begin has the last word after a start.
		p.wish, p.due, p.started = now, schedule{}, false
	}
	off := !config.Pull || config.Credentials == ""
	var errs []error
	if (off || config.NoCommunity) && leads {
		p.ends, p.started = nil, false
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
