package caddymodule

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/appliance"
)

// startTimeout bounds how long a request waits for a node that is still starting.
const startTimeout = 10 * time.Second

// errStarting: no settings have ever been in force.
var errStarting = errors.New("rampart has not started yet")

// closeTimeout bounds how long a node may drain when the last configuration that
// used it goes.
const closeTimeout = 15 * time.Second

// nodes are the appliances in use, by node name. They outlive configurations: the
// next one is provisioned before the last one is cleaned up, so the count of a
// node whose name stays never reaches zero on a reload.
var nodes = caddy.NewUsagePool()

// node is one pooled appliance.
type node struct {
	*appliance.Appliance
	started atomic.Int32 // configurations that have started and not stopped
	since   atomic.Int64 // when the newest of them started, unix ns

	tried chan struct{} // closed when the first start is over
	try   sync.Once
	up    atomic.Bool // settings have been in force
}

// await waits until the first settings are in force. Caddy starts its apps in no
// order, and a server that listens before the node has started must not let
// through whoever the node would refuse. The wait is bounded, since a server that
// is stopped waits for its requests.
func (n *node) await(ctx context.Context) error {
	if n.up.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-n.tried:
	case <-ctx.Done():
	}
	if !n.up.Load() {
		return errStarting
	}
	return nil
}

// borrowNode returns the node of that name and counts one user more, who gives it
// back with returnNode.
func borrowNode(name string, log *zap.Logger) (*node, error) {
	v, _, err := nodes.LoadOrNew(name, func() (caddy.Destructor, error) {
		return &node{Appliance: appliance.New(appliance.Options{Node: name, Logger: log}), tried: make(chan struct{})}, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*node), nil
}

// returnNode undoes one borrowNode; the last one closes the node.
func returnNode(name string) error {
	_, err := nodes.Delete(name)
	return err
}

// use puts settings in force until release, which may be called more than once.
func (n *node) use(s *appliance.Settings) (release func(), err error) {
	defer n.try.Do(func() { close(n.tried) })
	withdraw, err := n.Use(s)
	if err != nil {
		return nil, err
	}
	n.up.Store(true)
	n.since.Store(time.Now().UnixNano())
	n.started.Add(1)
	return sync.OnceFunc(func() {
		n.started.Add(-1)
		withdraw()
	}), nil
}

// Destruct implements caddy.Destructor. Requests that are still on their way may
// call the node afterwards.
func (n *node) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return n.Close(ctx)
}

// runningNode is the node that runs now, nil if none does. While a reload changes
// the node's name two do, and the one that started last is meant.
func runningNode() *node {
	var found *node
	nodes.Range(func(_, value any) bool {
		n, ok := value.(*node)
		if ok && n.started.Load() > 0 && (found == nil || n.since.Load() > found.since.Load()) {
			found = n
		}
		return true
	})
	return found
}
