package community

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	// maxAllowed bounds the items of an allowlist, maxAllowLine one of them in bytes.
	maxAllowed   = 20_000
	maxAllowLine = 8 << 10
	// linksKey is the row of the shared table that has the links to allowlists. No bucket
	// of ours is called like the table: its rows go to all nodes.
	sharedTable = "community_links"
	linksKey    = "allowlists"
	maxProblems = 5
)

// Shared is a small table that all nodes of a fleet have; cluster.Tables is one. Each
// calls fn for the rows of a table; values are at most 256 KiB.
type Shared interface {
	Put(table, key string, value []byte) error
	Each(table string, fn func(key string, value []byte) error) error
}

// sharedLinks is the row: allowlists are fetched by each node, from where the one that
// pulls was told they are.
type sharedLinks struct {
	At    time.Time       `json:"at"`
	Links []allowlistLink `json:"links"`
}

// shareLinks tells the other nodes where allowlists are.
func (c *Client) shareLinks(links []allowlistLink) error {
	if c.o.Shared == nil {
		return nil
	}
	row, err := json.Marshal(sharedLinks{c.o.Now().UTC(), links})
	if err == nil {
		err = c.o.Shared.Put(sharedTable, linksKey, row)
	}
	if err != nil {
		return fmt.Errorf("telling the fleet where allowlists are: %w", err)
	}
	return nil
}

// followAllowlists fetches the allowlists after another node has pulled.
func (c *Client) followAllowlists(ctx context.Context, config Config) error {
	if c.o.Shared == nil || !config.Pull || config.NoLists {
		return nil
	}
	var row sharedLinks
	err := c.o.Shared.Each(sharedTable, func(key string, value []byte) error {
		if key == linksKey {
			return json.Unmarshal(value, &row)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading where allowlists are: %w", err)
	}
	if row.At.IsZero() || row.At.Equal(c.pull.followed) {
		return nil
	}
	if err := c.pullAllowlists(ctx, row.Links); err != nil {
		return err
	}
	c.pull.followed = row.At
	return nil
}

// pullAllowlists fetches the allowlists of the account, each as a whole, and drops those
// that it has no more.
func (c *Client) pullAllowlists(ctx context.Context, links []allowlistLink) error {
	var errs []error
	var states []ListStatus
	wanted := map[string]bool{}
	if len(links) > maxLinks {
		errs = append(errs, fmt.Errorf("the account has %d allowlists, more than %d are not fetched", len(links), maxLinks))
		links = links[:maxLinks]
	}
	for i := range links {
		if wanted[links[i].Name] {
			errs = append(errs, fmt.Errorf("allowlist %.80q: another one is called so already", links[i].Name))
			continue
		}
		wanted[links[i].Name] = true
		state, err := c.pullAllowlist(ctx, &links[i])
		if err != nil {
			err = fmt.Errorf("allowlist %.80s: %w", links[i].Name, err)
			state.Problem = err.Error()
			errs = append(errs, err)
		}
		states = append(states, state)
	}
	errs = append(errs, c.dropAllowlists(wanted))
	c.pull.mu.Lock()
	c.pull.allows = states
	c.pull.mu.Unlock()
	return errors.Join(errs...)
}

// dropAllowlists drops allowlists of the account that are not wanted any more.
func (c *Client) dropAllowlists(wanted map[string]bool) error {
	var errs []error
	for _, l := range c.o.Allow.Lists() {
		if l.Managed && !wanted[l.Name] {
			errs = append(errs, c.o.Allow.DeleteList(l.Name))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) pullAllowlist(ctx context.Context, link *allowlistLink) (ListStatus, error) {
	state := ListStatus{Name: link.Name}
	if link.Name == "" || link.Name == decisions.DefaultAllowList {
		return state, errors.New("expected a name of its own")
	}
	if !strings.HasPrefix(link.URL, "http://") && !strings.HasPrefix(link.URL, "https://") {
		return state, errors.New("its link is no http or https URL")
	}
	d, err := c.shelf.fetch(ctx, link.URL, Validators{})
	if err != nil {
		return state, err
	}
	defer d.Close()
	items, left, err := readAllowlist(d, link.Name)
	if err != nil {
		return state, err
	}
	created, _ := time.Parse(time.RFC3339, link.Created) // no date is no harm
	err = c.o.Allow.ReplaceList(decisions.AllowList{Name: link.Name, Description: link.Description, Created: created, Managed: true, Items: items})
	state.Entries, state.Fetched, state.Left = len(items), c.o.Now(), len(left)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d lines are left out: %w", len(left), errors.Join(left[:min(len(left), maxProblems)]...))
	}
	return state, err
}

// allowLine is a line of an allowlist.
type allowLine struct {
	Value       string `json:"value"`
	Description string `json:"description"`
	Expiration  string `json:"expiration"` // RFC 3339
	Created     string `json:"created_at"`
}

// readAllowlist reads an allowlist, a JSON object on each line. Lines that make no sense
// are left out, each with an error. CrowdSec compatible, but that what would allow a
// good part of the Internet is left out too.
func readAllowlist(r io.Reader, list string) (items []decisions.AllowEntry, left []error, err error) {
	lines := bufio.NewReaderSize(r, maxAllowLine)
	for n := 1; ; n++ {
		line, rerr := lines.ReadSlice('\n')
		if errors.Is(rerr, bufio.ErrBufferFull) {
			return nil, nil, fmt.Errorf("line %d: longer than %d bytes", n, maxAllowLine)
		}
		if rerr != nil && !errors.Is(rerr, io.EOF) {
			return nil, nil, rerr
		}
		if len(bytes.TrimSpace(line)) > 0 {
			e, lerr := parseAllowLine(line, list)
			if lerr != nil {
				left = append(left, fmt.Errorf("line %d: %w", n, lerr))
			} else {
				items = append(items, e)
			}
			if len(items)+len(left) > maxAllowed {
				return nil, nil, fmt.Errorf("more than %d lines", maxAllowed)
			}
		}
		if rerr != nil {
			return items, left, nil
		}
	}
}

func parseAllowLine(line []byte, list string) (decisions.AllowEntry, error) {
	var l allowLine
	if err := json.Unmarshal(line, &l); err != nil {
		return decisions.AllowEntry{}, err
	}
	item, p, err := decisions.ParseAllowItem(l.Value)
	if err != nil {
		return decisions.AllowEntry{}, err
	}
	if p.IsValid() && decisions.Normalise(&decisions.Decision{Value: p.String(), Type: decisions.TypeBan}, false) != nil {
		return decisions.AllowEntry{}, fmt.Errorf("%s: a /8, or a /16 for IPv6, is the widest that somebody else may allow", p)
	}
	e := decisions.AllowEntry{Prefix: p, Item: item, List: list, Comment: l.Description}
	if l.Expiration != "" {
		if e.Until, err = time.Parse(time.RFC3339, l.Expiration); err != nil {
			return e, fmt.Errorf("expiration %.40q: expected a time such as 2030-01-01T00:00:00Z", l.Expiration)
		}
	}
	if t, err := time.Parse(time.RFC3339, l.Created); err == nil {
		e.Created = t
	}
	return e, nil
}
