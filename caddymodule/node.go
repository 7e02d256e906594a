package caddymodule

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/appliance"
)

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
}

// borrowNode returns the node of that name and counts one user more, who gives it
// back with returnNode.
func borrowNode(name string, log *zap.Logger) (*node, error) {
	v, _, err := nodes.LoadOrNew(name, func() (caddy.Destructor, error) {
		return &node{Appliance: appliance.New(appliance.Options{Node: name, Logger: log})}, nil
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
	withdraw, err := n.Use(s)
	if err != nil {
		return nil, err
	}
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
