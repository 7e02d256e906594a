package decisions

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
)

// What a selector of a simulation begins with; all others are names of scenarios.
const (
	selectList = "list:"
	selectHost = "host:"
	// SelectAll stands for all scenarios.
	SelectAll = "*"
)

// targetHost is the meta that has the site that an event was for. CrowdSec
// compatible: the parsers of the Hub call it so.
const targetHost = "target_fqdn"

// ParseSelector reads what a simulation is to be about: the name of a scenario,
// list:NAME, host:NAME, or * for all scenarios.
func ParseSelector(text string) (string, error) {
	text = strings.TrimSpace(text)
	if name, ok := strings.CutPrefix(text, selectList); ok {
		return text, CheckListName(name)
	}
	if name, ok := strings.CutPrefix(text, selectHost); ok {
		name = siteName(name)
		if _, err := netip.ParseAddr(name); err != nil && !isHostName(name) {
			return "", fmt.Errorf("site %.80q: expected the name of a host such as www.example.org", name)
		}
		return selectHost + name, nil
	}
	return text, checkText("name of a scenario", text, maxText)
}

// siteName is the name of a site without the port of a request for it.
func siteName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isScenario(selector string) bool {
	return !strings.HasPrefix(selector, selectList) && !strings.HasPrefix(selector, selectHost)
}

// Simulating is what simulates at one moment. Immutable.
type Simulating struct {
	base   *Simulation
	chosen map[string]SimulationChoice
}

// Scenario reports whether a scenario only simulates, wherever its events come from.
func (s Simulating) Scenario(name string) bool {
	if c, ok := s.chosen[name]; ok {
		return c.On
	}
	if c, ok := s.chosen[SelectAll]; ok {
		return c.On
	}
	return s.base.Simulated(name)
}

// List reports whether a list only simulates.
func (s Simulating) List(name string) bool {
	if c, ok := s.chosen[selectList+name]; ok {
		return c.On
	}
	return slices.Contains(s.base.Exclusions, selectList+name)
}

// Host reports whether a site only simulates. A port does not matter.
func (s Simulating) Host(site string) bool {
	sel := selectHost + siteName(site)
	if c, ok := s.chosen[sel]; ok {
		return c.On
	}
	return slices.ContainsFunc(s.base.Exclusions, func(e string) bool { return strings.EqualFold(e, sel) })
}

// Alert reports whether an alert is simulated: for its scenario, or since all sites
// that its events were for simulate, as far as they are kept. One request to such a
// site does not make an attack on others harmless.
func (s Simulating) Alert(a *event.Alert) bool {
	if s.Scenario(a.Scenario) {
		return true
	}
	found := a.Site != ""
	if found && !s.Host(a.Site) {
		return false
	}
	for i := range a.Events {
		site := a.Events[i].GetMeta(targetHost)
		if site == "" || site == a.Site {
			continue
		}
		if !s.Host(site) {
			return false
		}
		found = true
	}
	return found
}
