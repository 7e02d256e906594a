package appliance

import (
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/cluster"
	"github.com/rampart-edge/rampart/scenarios"
)

// StorageStatus is where buckets and decisions are kept, and how that does.
type StorageStatus struct {
	Kind  string       `json:"kind"`            // embedded or redis
	Fleet *FleetStatus `json:"fleet,omitempty"` // with redis
}

// FleetStatus is what the node shares with others, as it sees them.
type FleetStatus struct {
	Redis    cluster.Health       `json:"redis"`
	Away     float64              `json:"away_seconds"` // without Redis, since the start
	Prefix   string               `json:"prefix"`
	ID       string               `json:"id"`
	Name     string               `json:"name"`
	Number   int                  `json:"number"` // -1: none
	Problem  string               `json:"problem,omitempty"`
	Nodes    []cluster.Node       `json:"nodes"` // with this one, as last read
	Journal  cluster.JournalStats `json:"journal"`
	Buckets  cluster.BucketStats  `json:"buckets"` // zero as long as none are shared
	Spent    cluster.BurnStats    `json:"challenges"`
	Tables   cluster.TablesStats  `json:"tables"`     // who may use the Local API
	Unshared []string             `json:"not_shared"` // scenarios whose buckets are each node's own
}

// storageStatus tells how it does under the scenarios that run.
func (st *state) storageStatus(all []*scenarios.Scenario) StorageStatus {
	s := StorageStatus{Kind: st.storage.Kind}
	if st.fleet != nil {
		f := st.fleet.status()
		for _, sc := range all {
			if !sc.Shareable() {
				f.Unshared = append(f.Unshared, sc.Name)
			}
		}
		s.Fleet = &f
	}
	return s
}

func (f *fleet) status() FleetStatus {
	s := FleetStatus{Redis: f.client.Health(), Away: time.Duration(f.away.Load()).Seconds(), Prefix: f.config.Prefix, ID: f.id,
		Name: f.name, Number: f.client.Number(), Nodes: orEmpty(f.client.Nodes()),
		Journal: f.journal.Stats(), Spent: f.burns.Stats(), Tables: f.tables.Stats(), Unshared: []string{}}
	if p := f.trouble.Load(); p != nil {
		s.Problem = *p
	}
	if b := f.st.buckets.shared.Load(); b != nil {
		s.Buckets = b.Stats()
	}
	s.Buckets.Scripts = orEmpty(s.Buckets.Scripts)
	return s
}

// problems are what an operator should look at, in words.
func (s StorageStatus) problems() []string {
	if s.Fleet == nil {
		return nil
	}
	f := *s.Fleet
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	since := f.Redis.Since.Local().Format(time.DateTime)
	switch f.Redis.State {
	case cluster.StateUp:
	case cluster.StateConnecting:
		say("Redis has not answered since the start at %s: this node counts and decides by itself", since)
	default:
		say("Redis is out of use since %s: %s. Until it is back this node counts and decides by itself, so that an attack spread "+
			"over nodes takes longer to be seen; what is decided meanwhile reaches the others then", since, f.Redis.Reason)
	}
	if f.Redis.Warning != "" {
		say("%s", f.Redis.Warning)
	}
	if f.Problem != "" {
		say("the fleet's secret cannot be shared: %s", f.Problem)
	}
	if f.Redis.State == cluster.StateUp && f.Number < 0 && len(f.Nodes) > 1 {
		say("this node has no number, so that the others cannot ask it for the evidence of an alert: more than 256 nodes share this Redis and prefix")
	}
	for _, n := range f.Nodes {
		if n.Degraded && n.ID != f.ID {
			say("node %s was last heard of at %s: it is down, or cut off from Redis", n.Name, n.Seen.Local().Format(time.DateTime))
		}
	}
	for _, c := range []struct {
		n    int64
		text string
	}{
		{f.Buckets.Dropped, "%d events were not counted in shared buckets since too many waited for Redis: it is too slow, or too far away"},
		{f.Buckets.Failed, "%d events were lost to a script that failed in Redis; the log has why"},
		{f.Buckets.Forgotten, "%d overflows found no room in Redis and led to no alert"},
		{f.Buckets.Broken, "%d buckets in Redis were damaged and began anew: does something else write below the prefix?"},
		{f.Journal.Dropped, "Redis would not take %d changes of decisions, which hold on this node alone; the log has why"},
		{f.Journal.Lost, "%d changes of decisions found no place while they waited for Redis; when it is back everything is compared, and what " +
			"was unbanned here meanwhile may have to be so again"},
		{f.Journal.Refused, "%d changes of other nodes were refused since no node of ours would make them, or they are against what is " +
			"allowed; the log has which"},
		{f.Journal.ListFails, "%d times a large list of another node could not be read from Redis; the log has why"},
	} {
		if c.n > 0 {
			say(c.text, c.n)
		}
	}
	return out
}
