package community

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/store"
)

const (
	// communityList is the list of what the community bans; its decisions have the same
	// origin. CrowdSec compatible: origin and scenario.
	communityList     = "CAPI"
	communityScenario = "crowdsecurity/community-blocklist"

	endsKey = "ends"
	pullKey = "pulled"
	// pulledLately: after a start nothing is pulled if the last pull is not older. CrowdSec
	// compatible.
	pulledLately = 90 * time.Minute
	// pruneEvery is how often entries whose own end has come are looked for.
	pruneEvery = time.Minute
	// waitForScenarios is how long the first pull waits for somebody to say what scenarios
	// there are.
	waitForScenarios = 2 * time.Minute
	// followEvery is how often a node that does not pull looks where allowlists are.
	followEvery = 20 * time.Second
)

// pull is what is known of what was pulled.
type pull struct {
	due     schedule
	pruned  time.Time
	begun   time.Time // when this node was first to pull
	started bool      // the whole stream was asked for, what follows are changes
	last    time.Time // success
	ends    endings
	version int64 // of the community list that ends are of
	wish    wish

	withdrawal schedule // after a failure

	// Of a node that does not pull.
	following schedule
	followed  time.Time // the links that were followed

	mu     sync.Mutex // of what report tells
	next   time.Time
	was    time.Time
	lists  []ListStatus
	allows []ListStatus
}

func (p *pull) load(db *store.DB) error {
	data, err := db.Get(stateBucket, endsKey)
	if err != nil {
		return err
	}
	if data != nil {
		// Damaged, it is replaced by the next pull; until then nothing ends early.
		p.ends, _ = decodeEndings(data)
	}
	text, err := db.Get(stateBucket, pullKey)
	if err != nil || text == nil {
		return err
	}
	var kept pulled
	if json.Unmarshal(text, &kept) == nil {
		p.last, p.was, p.version = kept.At, kept.At, kept.Version
	}
	return nil
}

// pulled is what is kept of a pull beside the ends.
type pulled struct {
	At      time.Time `json:"at"`
	Version int64     `json:"version"` // of the community list
}

func (p *pull) save(db *store.DB) error {
	text, err := json.Marshal(pulled{p.last, p.version})
	if err != nil {
		return err
	}
	return db.Put(stateBucket, pullKey, text)
}

// follow does what a node does that does not pull.
func (c *Client) follow(ctx context.Context, config Config, now time.Time) {
	p := &c.pull
	if !p.following.ready(now) {
		return
	}
	if err := c.followAllowlists(ctx, config); err != nil {
		p.following.failed(now, err)
		c.o.Logger.Warn("allowlists of the central API: not all are fetched, will be tried again", zap.Error(err))
		return
	}
	p.following.done(now, followEvery, 0.3)
}

// report fills in what Status tells.
func (p *pull) report(s *Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Lists, s.Allowlists, s.LastPull, s.NextPull = p.lists, p.allows, p.was, p.next
}

// pullDue pulls if it is time, and this node is the one that does.
func (c *Client) pullDue(ctx context.Context) {
	config, api := c.now()
	if ctx.Err() != nil {
		return
	}
	c.pulling.Lock()
	defer c.pulling.Unlock()
	p, now := &c.pull, c.o.Now()
	if err := c.withdraw(now); err != nil {
		c.o.Logger.Warn("central API: what is not wanted any more stays for now, will be tried again", zap.Error(err), zap.Time("next", p.withdrawal.due))
	}
	if !c.o.Leads() {
		// Whoever pulls meanwhile changes what a later one of ours would be a change of.
		p.started, p.begun = false, time.Time{}
		c.follow(ctx, config, now)
		return
	}
	if now.Sub(p.pruned) >= pruneEvery {
		p.pruned = now
		if err := c.prune(now); err != nil {
			c.o.Logger.Warn("community list: entries that are over stay for a moment", zap.Error(err))
		}
	}
	if api == nil || !config.Pull {
		return
	}
	if p.begun.IsZero() {
		p.begin(now, config.PullEvery, c.ours() || len(p.ends) == 0)
	}
	if !p.due.ready(now) || !p.started && now.Sub(p.begun) < waitForScenarios && len(c.o.Roster().Scenarios) == 0 {
		return
	}
	err := c.pullAll(ctx, config, api)
	c.settlePull(ctx, config, err)
}

// begin says when the first pull is due.
func (p *pull) begin(now time.Time, every time.Duration, ours bool) {
	p.begun = now
	if age := now.Sub(p.last); ours && age >= 0 && age < min(pulledLately, every) {
		p.due.done(p.last, every, 0.04)
	}
	p.tell()
}

func (p *pull) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.was = p.due.due, p.last
}

// settlePull puts the next pull off, and tells how this one went. CrowdSec compatible: 2
// h give or take 5 min.
func (c *Client) settlePull(ctx context.Context, config Config, err error) {
	p := &c.pull
	now := c.o.Now()
	c.note(now, "pull", err)
	if err == nil {
		p.due.done(now, config.PullEvery, 0.04)
	} else {
		p.due.failed(now, err)
		if ctx.Err() == nil {
			c.o.Logger.Warn("central API: pull failed, will be tried again", zap.Error(err), zap.Time("next", p.due.due))
		}
	}
	p.tell()
}

// Pull fetches all now, whoever leads. The error names lists that could not be fetched;
// the others are in force.
func (c *Client) Pull(ctx context.Context) error {
	api, err := c.server()
	if err != nil {
		return fmt.Errorf("pulling: %w", err)
	}
	c.pulling.Lock()
	defer c.pulling.Unlock()
	config, _ := c.now()
	c.pull.started = false // who asks for it wants all of it
	err = c.pullAll(ctx, config, api)
	c.settlePull(ctx, config, err)
	if err != nil {
		return fmt.Errorf("pulling: %w", err)
	}
	return nil
}

// pullAll fetches the stream and what it leads to. CrowdSec compatible: the order is
// deletions, allowlists, new decisions, blocklists. Deletions and new decisions come
// into force as one step, behind the allowlists, which changes nothing else.
func (c *Client) pullAll(ctx context.Context, config Config, api *api) error {
	p := &c.pull
	whole := !p.started
	var s stream
	if err := api.call(ctx, request{method: http.MethodGet, path: streamPath(config, whole), limit: maxStream, timeout: downloadTimeout}, &s); err != nil {
		return err
	}
	p.started = false // until all of it is in force
	var errs []error
	if s.Links != nil && !config.NoLists {
		errs = append(errs, c.pullAllowlists(ctx, s.Links.Allowlists), c.shareLinks(s.Links.Allowlists))
	}
	if !config.NoCommunity {
		if err := c.applyStream(&s, whole); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	p.started = true
	if s.Links != nil && !config.NoLists {
		errs = append(errs, c.pullBlocklists(ctx, s.Links.Blocklists, config.PullEvery))
	}
	p.last = c.o.Now().UTC()
	errs = append(errs, p.save(c.o.DB))
	return errors.Join(errs...)
}

func streamPath(config Config, whole bool) string {
	q := url.Values{}
	if whole {
		q.Set("startup", "true")
	}
	if config.NoCommunity {
		q.Set("community_pull", "false")
	}
	if config.NoLists {
		q.Set("additional_pull", "false")
	}
	if len(q) == 0 {
		return "decisions/stream"
	}
	return "decisions/stream?" + q.Encode()
}

// applyStream brings what the stream says into force. The whole of it replaces what
// there was: so what was deleted while nobody looked goes. If that would leave next to
// nothing, it is only added, and what there was ends by itself.
func (c *Client) applyStream(s *stream, whole bool) error {
	p, now := &c.pull, c.o.Now()
	fresh, skipped := s.entries(now)
	old := p.ends
	if whole && len(fresh) > 0 && !shrunk(len(old), len(fresh)) {
		old = nil
	}
	next := old.with(s.gone(), fresh, now)
	c.mu.Lock()
	c.status.Skipped = skipped
	c.mu.Unlock()
	if err := c.putCommunity(next, now); err != nil {
		return fmt.Errorf("community list: %w", err)
	}
	return nil
}

// prune takes entries off the community list whose own end has come.
func (c *Client) prune(now time.Time) error {
	if !c.pull.ends.over(now) || !c.ours() {
		return nil
	}
	return c.putCommunity(c.pull.ends.with(nil, nil, now), now)
}

// ours reports whether the ends that we know are those of the community list as it is:
// another node may have pulled meanwhile.
func (c *Client) ours() bool {
	l := c.shelf.current(communityList)
	return l != nil && l.Version == c.pull.version
}

// putCommunity makes entries the community list. The list ends with the last of them;
// the others are taken off when their own end comes. If only the end is another one,
// entries keep their numbers.
func (c *Client) putCommunity(es endings, now time.Time) error {
	if err := c.shelve(es, now); err != nil {
		return err
	}
	p := &c.pull
	p.ends, p.version = es, 0
	if l := c.shelf.current(communityList); l != nil {
		p.version = l.Version
	}
	return errors.Join(c.o.DB.Put(stateBucket, endsKey, es.encode()), p.save(c.o.DB))
}

func (c *Client) shelve(es endings, now time.Time) error {
	if len(es) == 0 {
		return c.shelf.drop(communityList)
	}
	h := decisions.ListHead{Name: communityList, From: communityList, Type: decisions.TypeBan, Scenario: communityScenario, Created: now, Until: es.last()}
	l, report, err := decisions.NewBlocklist(h, es.prefixes())
	if err != nil {
		return err
	}
	if err := guard(nil, l, &report); err != nil { // what is gone, or fewer, applyStream has looked at
		return err
	}
	if old := c.shelf.current(communityList); old != nil && sameEntries(old, l) {
		return c.shelf.move(old, l.Until)
	}
	return c.shelf.put(l)
}

func sameEntries(a, b *decisions.Blocklist) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if a.At(i) != b.At(i) {
			return false
		}
	}
	return true
}
