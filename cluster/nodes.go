package cluster

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

const (
	beatEvery = time.Second
	// silentAfter is when a node counts as gone its own way, forgottenAfter when its
	// line in the table goes.
	silentAfter    = 5 * time.Second
	forgottenAfter = time.Hour
	// houseLease names the lease of the node that keeps the house in order.
	houseLease   = "house"
	maxNodes     = 1024
	maxNodeText  = 2048
	farewellFor  = 500 * time.Millisecond
	twinsToWarn  = 3
	tableEvery   = 2 // beats
	maxNodeField = 128
)

//go:embed beat.lua
var beatSource string

// Node is a line of the fleet's table.
type Node struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Number  int       `json:"number"` // -1: none
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"` // by Redis' clock
	// Cursor is how far the node has read the journal, Lag how many changes it has
	// not taken over yet.
	Cursor  string `json:"cursor"`
	Lag     int64  `json:"lag"`
	Version string `json:"version"`
	// Degraded: it has not been heard of for a while, so it goes on by itself or is
	// no more.
	Degraded bool `json:"degraded"`
}

// nodeText is what a node says of itself in the table.
type nodeText struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Cursor  string    `json:"cursor,omitempty"`
	Lag     int64     `json:"lag,omitempty"`
	Version string    `json:"version,omitempty"`
}

// presence is this node's part in the fleet, and what it has seen of the others.
type presence struct {
	session string // of this process: two that use one id are told apart
	started time.Time
	beat    *script
	// describe tells how far the journal has been read; set by it.
	describe atomic.Pointer[func() (cursor string, lag int64)]
	twins    int
	warned   bool

	mu    sync.Mutex
	nodes []Node
}

// Nodes is the fleet's table as last read, this node included, in order of their
// ids. It is empty until Redis has answered.
func (c *Client) Nodes() []Node {
	c.presence.mu.Lock()
	defer c.presence.mu.Unlock()
	return slices.Clone(c.presence.nodes)
}

// describe has f asked before each heartbeat for what the table tells of this node's
// journal.
func (c *Client) describe(f func() (cursor string, lag int64)) { c.presence.describe.Store(&f) }

// owner names this process in leases and numbers.
func (c *Client) owner() string { return c.o.Node + "." + c.presence.session }

// elapsed is the time since Open.
func (c *Client) elapsed() time.Duration { return c.now().Sub(c.presence.started) }

// tend beats and renews until the client is closed, and then takes leave.
func (c *Client) tend() {
	ear, stop := c.changed()
	defer stop()
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	house := c.Lease(houseLease)
	for round := 0; ; round++ {
		if c.Up() {
			c.report("taking part in the fleet", c.tendOnce(round, house))
		}
		select {
		case <-c.ctx.Done():
			c.leave()
			return
		case <-ticker.C:
		case <-ear:
		case <-c.leases.wake:
		}
	}
}

// tendOnce does one round; what fails is tried again in the next.
func (c *Client) tendOnce(round int, house *Lease) error {
	if err := c.sendBeat(c.ctx); err != nil {
		return err
	}
	for _, l := range c.leases.all() {
		if err := l.tend(c.ctx); err != nil {
			return err
		}
	}
	if round%tableEvery != 0 {
		return nil
	}
	silent, err := c.readNodes(c.ctx)
	if err == nil && len(silent) > 0 && house.Held() {
		err = c.redis.HDel(c.ctx, c.nodesKey(), silent...).Err()
	}
	return err
}

func (c *Client) nodesKey() string   { return c.key("{j}", "nodes") }
func (c *Client) numbersKey() string { return c.key("{j}", "numbers") }

func (c *Client) sendBeat(ctx context.Context) error {
	t := nodeText{Name: c.o.Name, Started: c.presence.started.UTC(), Version: c.o.Version}
	if f := c.presence.describe.Load(); f != nil {
		t.Cursor, t.Lag = (*f)()
	}
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("describing this node: %w", err)
	}
	sent := c.elapsed()
	v, err := c.runBeat(ctx, string(text))
	if err != nil {
		return err
	}
	c.numbering.grant(v[0], sent)
	if v[0] < 0 && !c.presence.warned {
		c.presence.warned = true
		c.log.Warn("no number is free for this node: more than 256 nodes share this Redis and prefix")
	}
	if c.presence.twins++; v[1] == 0 {
		c.presence.twins = 0
	}
	if c.presence.twins == twinsToWarn {
		c.log.Warn("another process uses the id of this node: was its data directory copied? Give each node its own",
			zap.String("node", c.o.Node))
	}
	return nil
}

// runBeat sends a text and returns the number and whether there is a twin.
func (c *Client) runBeat(ctx context.Context, text string) (out [2]int64, err error) {
	v, err := c.presence.beat.Run(ctx, []string{c.nodesKey(), c.numbersKey()},
		c.o.Node, c.presence.session, numberFor.Microseconds(), c.numbering.had.Load(), text)
	if err != nil {
		return out, fmt.Errorf("sending the heartbeat (keys %s and %s): %w", c.nodesKey(), c.numbersKey(), err)
	}
	list, _ := v.([]any)
	if len(list) != 3 {
		return out, fmt.Errorf("sending the heartbeat: odd answer %v", v)
	}
	out[0], _ = list[0].(int64)
	out[1], _ = list[2].(int64)
	return out, nil
}

// readNodes reads the table and returns the ids of those that have been silent for
// long.
func (c *Client) readNodes(ctx context.Context) (silent []string, err error) {
	pipe := c.redis.Pipeline()
	all, clock := pipe.HGetAll(ctx, c.nodesKey()), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading the table of nodes (key %s): %w", c.nodesKey(), err)
	}
	now := clock.Val()
	var nodes []Node
	for id, line := range all.Val() {
		n, err := parseNode(id, line, now)
		if err != nil || now.Sub(n.Seen) > forgottenAfter {
			silent = append(silent, id)
			continue
		}
		if len(nodes) < maxNodes {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	c.presence.mu.Lock()
	c.presence.nodes = nodes
	c.presence.mu.Unlock()
	return silent, nil
}

// parseNode reads a line of the table, which anybody who may write to Redis can have
// put there.
func parseNode(id, line string, now time.Time) (Node, error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 || len(line) > maxNodeText || !validNode(id) {
		return Node{}, fmt.Errorf("not a line of the table of nodes: %d bytes", len(line))
	}
	seen, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return Node{}, fmt.Errorf("reading when a node was seen: %w", err)
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil || number < noNumber || number > 255 {
		return Node{}, fmt.Errorf("not a number of a node: %q", parts[1])
	}
	var t nodeText
	if err := json.Unmarshal([]byte(parts[3]), &t); err != nil {
		return Node{}, fmt.Errorf("reading what a node says: %w", err)
	}
	n := Node{
		ID: id, Name: clean(t.Name), Number: number, Started: t.Started, Seen: time.UnixMicro(seen).UTC(),
		Cursor: clean(t.Cursor), Lag: max(t.Lag, 0), Version: clean(t.Version),
	}
	n.Degraded = now.Sub(n.Seen) > silentAfter
	return n, nil
}

// clean makes a foreign text fit to be shown.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "�")
	for len(s) > maxNodeField {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

func validNode(id string) bool {
	return len(id) == 16 && strings.Trim(id, "0123456789abcdef") == ""
}

// leave gives back number and leases, so that nobody must wait for their end.
func (c *Client) leave() {
	if !c.Up() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), farewellFor)
	defer cancel()
	for _, l := range c.leases.all() {
		if l.release(ctx) != nil {
			return // the rest expires by itself
		}
	}
	_, _ = c.runBeat(ctx, "")
}
