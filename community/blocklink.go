package community

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// subscribed is what the scenario of a list begins with that the account is subscribed
	// to. By it we know which lists are ours, also on the node that pulls next.
	subscribed = "community/"
	listBucket = "community_lists"
	// maxLinks bounds the lists of an account.
	maxLinks = 48
	// forceBefore: a list that ends within so long after the next pull is fetched whether
	// it has changed or not. CrowdSec compatible.
	forceBefore = 15 * time.Minute
)

// pullBlocklists fetches the lists that the account is subscribed to, and drops those
// that it is not any more.
func (c *Client) pullBlocklists(ctx context.Context, links []blocklistLink, every time.Duration) error {
	var errs []error
	var states []ListStatus
	wanted := map[string]bool{}
	if len(links) > maxLinks {
		errs = append(errs, fmt.Errorf("the account has %d lists, more than %d are not fetched", len(links), maxLinks))
		links = links[:maxLinks]
	}
	for i := range links {
		name := listName(links[i].Name)
		if wanted[name] {
			errs = append(errs, fmt.Errorf("list %.80q: another one is called %s already", links[i].Name, name))
			continue
		}
		wanted[name] = true
		state, err := c.pullBlocklist(ctx, name, &links[i], every)
		if err != nil {
			err = fmt.Errorf("list %s: %w", name, err)
			state.Problem = err.Error()
			errs = append(errs, err)
		}
		states = append(states, state)
		c.pull.mu.Lock()
		c.pull.lists = states[:len(states):len(states)]
		c.pull.mu.Unlock()
	}
	errs = append(errs, c.dropOthers(wanted))
	c.pull.mu.Lock()
	c.pull.lists = states
	c.pull.mu.Unlock()
	return errors.Join(errs...)
}

func (c *Client) pullBlocklist(ctx context.Context, name string, link *blocklistLink, every time.Duration) (ListStatus, error) {
	state := ListStatus{Name: name, Type: link.Remediation}
	length, err := parseLength(link.Duration)
	if err == nil && length <= 0 {
		err = fmt.Errorf("duration %q: expected one above zero", link.Duration)
	}
	if err == nil && !strings.HasPrefix(link.URL, "http://") && !strings.HasPrefix(link.URL, "https://") {
		err = errors.New("its link is no http or https URL")
	}
	if err != nil {
		return state, err
	}
	if link.Scope != "" && !strings.EqualFold(link.Scope, decisions.ScopeIP) && !strings.EqualFold(link.Scope, decisions.ScopeRange) {
		return state, fmt.Errorf("scope %.40q cannot be on a list", link.Scope)
	}
	old := c.shelf.current(name)
	if old != nil && old.Scenario != subscribed+name {
		return state, errors.New("there is a list of that name that is not the account's; drop or rename it")
	}
	src := &source{bucket: listBucket, key: name, url: link.URL, length: length,
		head: decisions.ListHead{Name: name, Type: link.Remediation, Scenario: subscribed + name}}
	force := old != nil && old.Until.Sub(c.o.Now()) < every+forceBefore
	known, err := c.shelf.update(ctx, src, force)
	c.shelf.fill(&state, known)
	return state, err
}

// dropOthers drops lists of the account that are not wanted any more.
func (c *Client) dropOthers(wanted map[string]bool) error {
	var errs []error
	for _, l := range c.o.Book.Lists() {
		if l.Scenario == subscribed+l.Name && !wanted[l.Name] {
			errs = append(errs, c.shelf.drop(l.Name), c.o.DB.Delete(listBucket, l.Name))
		}
	}
	return errors.Join(errs...)
}

// listName is a name as the Book takes it.
func listName(name string) string {
	out := []byte(name)
	for i, b := range out {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9'
		if !letter && (i == 0 || b != '.' && b != '_' && b != '-') {
			out[i] = '_'
		}
	}
	if len(out) == 0 || out[0] == '_' {
		out = append([]byte("list"), out...)
	}
	return string(out[:min(len(out), 64)])
}
