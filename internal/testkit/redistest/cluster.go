package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const (
	primaries = 3
	slots     = 16384
	// moveKeys is how many keys one MIGRATE takes.
	moveKeys = 100
)

// Cluster is a Redis Cluster of three primaries.
type Cluster struct {
	tb      testing.TB
	servers []*Server
	ids     []string
}

// StartCluster starts it and waits until all agree that it is in order. Primary i
// has the i-th third of the slots.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for range primaries {
		srv := Start(tb, Options{Args: []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}})
		c.servers = append(c.servers, srv)
		c.ids = append(c.ids, fmt.Sprint(srv.Do("CLUSTER", "MYID")))
	}
	for i, srv := range c.servers {
		srv.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		srv.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first(i)), strconv.Itoa(first(i+1)-1))
		if i > 0 {
			srv.Do("CLUSTER", "MEET", "127.0.0.1", c.servers[0].port)
		}
	}
	c.Wait()
	return c
}

// first slot of primary i.
func first(i int) int { return i * slots / primaries }

// Wait waits until every server finds the cluster in order and knows all three.
func (c *Cluster) Wait() {
	c.tb.Helper()
	for _, srv := range c.servers {
		await(c.tb, "the Redis Cluster is not in order", func() bool {
			v, err := srv.Try("CLUSTER", "INFO")
			info := fmt.Sprint(v)
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d", primaries))
		})
	}
}

// Addrs are host:port of the primaries.
func (c *Cluster) Addrs() []string { return addrs(c.servers) }

// Servers are the primaries.
func (c *Cluster) Servers() []*Server { return c.servers }

// Slot is that of a key.
func (c *Cluster) Slot(key string) int {
	c.tb.Helper()
	n, _ := c.servers[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	return int(n)
}

// Owner is the number of the primary that has the slot.
func (c *Cluster) Owner(slot int) int {
	c.tb.Helper()
	ranges, _ := c.servers[0].Do("CLUSTER", "SLOTS").([]any)
	for _, r := range ranges {
		entry, _ := r.([]any)
		from, _ := entry[0].(int64)
		to, _ := entry[1].(int64)
		node, _ := entry[2].([]any)
		if int64(slot) < from || int64(slot) > to {
			continue
		}
		for i, id := range c.ids {
			if node[2] == id {
				return i
			}
		}
	}
	c.tb.Fatalf("nobody has slot %d", slot)
	return -1
}

// MoveSlot moves a slot and its keys to primary number to, as redis-cli does it: the
// two sides are told, keys go by MIGRATE, and all are told who has it.
func (c *Cluster) MoveSlot(slot, to int) {
	c.tb.Helper()
	c.BeginMove(slot, to)
	c.EndMove(slot, to)
}

// BeginMove tells the two sides and moves nothing yet: from now on what the old one
// does not have it sends on with ASK.
func (c *Cluster) BeginMove(slot, to int) {
	c.tb.Helper()
	from, n := c.Owner(slot), strconv.Itoa(slot)
	if from == to {
		c.tb.Fatalf("slot %d is there already", slot)
	}
	c.servers[to].Do("CLUSTER", "SETSLOT", n, "IMPORTING", c.ids[from])
	c.servers[from].Do("CLUSTER", "SETSLOT", n, "MIGRATING", c.ids[to])
}

// EndMove moves the keys and makes primary number to the owner.
func (c *Cluster) EndMove(slot, to int) {
	c.tb.Helper()
	from, n := c.Owner(slot), strconv.Itoa(slot)
	for {
		keys, _ := c.servers[from].Do("CLUSTER", "GETKEYSINSLOT", n, strconv.Itoa(moveKeys)).([]any)
		if len(keys) == 0 {
			break
		}
		args := []string{"MIGRATE", "127.0.0.1", c.servers[to].port, "", "0", "5000", "REPLACE", "KEYS"}
		for _, k := range keys {
			args = append(args, fmt.Sprint(k))
		}
		c.servers[from].Do(args...)
	}
	for _, i := range []int{to, from, (to + 1) % primaries, (to + 2) % primaries} {
		c.servers[i].Do("CLUSTER", "SETSLOT", n, "NODE", c.ids[to])
	}
}
