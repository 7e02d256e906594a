package community

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// CrowdSec compatible: how often metrics are sent, and how often the list of machines
	// is looked at, a change of which is told at once.
	metricsEvery = 30 * time.Minute
	rosterEvery  = 20 * time.Second
)

// Metrics are what POST v3/metrics/ tells. CrowdSec compatible.
type Metrics struct {
	Version  string           `json:"apil_version"`
	Bouncers []BouncerMetrics `json:"bouncers"`
	Machines []MachineMetrics `json:"machines"`
}

// BouncerMetrics are those of a bouncer; instants are RFC 3339, empty texts are left
// out.
type BouncerMetrics struct {
	CustomName string `json:"custom_name,omitempty"`
	LastPull   string `json:"last_pull,omitempty"`
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
}

// MachineMetrics are those of a machine.
type MachineMetrics struct {
	LastPush   string `json:"last_push,omitempty"`
	LastUpdate string `json:"last_update,omitempty"`
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
}

// newMetrics makes them of a roster, with names or numbers in their place.
func newMetrics(r Roster, version string, names bool) Metrics {
	m := Metrics{Version: version, Bouncers: []BouncerMetrics{}, Machines: []MachineMetrics{}}
	name := func(kind, name string, i int) string {
		if names {
			return name
		}
		return fmt.Sprintf("%s-%d", kind, i+1)
	}
	for i, b := range r.Bouncers {
		m.Bouncers = append(m.Bouncers, BouncerMetrics{CustomName: name("bouncer", b.Name, i), LastPull: stamp(b.LastPull), Name: b.Type, Version: b.Version})
	}
	for i, x := range r.Machines {
		m.Machines = append(m.Machines, MachineMetrics{LastPush: stamp(x.LastPush), LastUpdate: stamp(x.LastUpdate), Name: name("machine", x.Name, i), Version: x.Version})
	}
	return m
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Metrics are those that would be sent now.
func (c *Client) Metrics() Metrics {
	config, _ := c.now()
	return newMetrics(c.o.Roster(), c.o.Version, config.Share.Names)
}

// metricsDue sends metrics and usage metrics if they are due. CrowdSec compatible: at
// the start, once more after 15 to 45 min, then every 30 min; at once when machines came
// or went. Usage metrics the same, but not at the start.
func (c *Client) metricsDue(ctx context.Context, api *api, names bool) {
	now := c.o.Now()
	if now.Sub(c.push.rosterAt) >= rosterEvery {
		c.push.rosterAt = now
		roster := c.o.Roster()
		machines := machineNames(roster)
		changed := machines != c.push.machines && c.push.metrics.fails == 0
		if changed || c.push.metrics.ready(now) {
			part := 0.05
			if c.push.metrics.due.IsZero() {
				part = 0.5
			}
			err := api.call(ctx, request{method: http.MethodPost, path: "metrics/", body: newMetrics(roster, c.o.Version, names)}, nil)
			if err == nil {
				c.push.machines = machines
			}
			c.settle(ctx, &c.push.metrics, "metrics", err, metricsEvery, part)
		}
	}
	if c.o.Usage != nil && c.push.usage.ready(now) {
		c.settle(ctx, &c.push.usage, "usage metrics", c.sendUsage(ctx, api), metricsEvery, 0.05)
	}
}

func machineNames(r Roster) string {
	var names []string
	for _, m := range r.Machines {
		names = append(names, m.Name)
	}
	return strings.Join(sortedNames(names), "\n")
}

// sendUsage sends usage metrics. CrowdSec compatible: what the server finds bad counts
// as sent, since it would find it bad again.
func (c *Client) sendUsage(ctx context.Context, api *api) error {
	body, sent := c.o.Usage()
	if len(body) == 0 {
		return nil
	}
	err := api.call(ctx, request{method: http.MethodPost, path: "usage-metrics", body: body}, nil)
	var status *StatusError
	if err == nil || errors.As(err, &status) && status.Status == http.StatusUnprocessableEntity {
		if sent != nil {
			sent()
		}
		return nil
	}
	return err
}
