package command

import (
	"testing"
	"time"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/localapi"
)

func sampleUsage() *appliance.UsageStatus {
	return &appliance.UsageStatus{At: now, OS: "debian 12", Features: []string{"x"}, Totals: []localapi.Total{
		{Name: "processed", Unit: "packet", Labels: map[string]string{"ip_type": "ipv4"}, Value: 1200},
		{Name: "dropped", Unit: "packet", Labels: map[string]string{"origin": "lists:a\x1b", "ip_type": "ipv4"}, Value: 12.5}}}
}

// TestGoldenCallers: what is shown of bouncers, agents and named allowlists, in every
// format.
func TestGoldenCallers(t *testing.T) {
	bouncers := []appliance.BouncerStatus{{Name: "nginx", Auth: "api-key", Created: now},
		{Name: "fw@192.0.2.7", IP: "192.0.2.7", Type: "crowdsec-firewall-bouncer\x1b[2J", Version: "v0.0.28", Auth: "api-key", AutoCreated: true, Created: now, LastPull: now}}
	machines := []appliance.MachineStatus{{Name: "web1", IP: "192.0.2.7", Version: "v1.7", Auth: "password", Validated: true, Created: now, LastPush: now,
		LastHeartbeat: now, Scenarios: []string{"a/b", "c/d"}}, {Name: "new", Auth: "password", Created: now, Scenarios: []string{}}}
	list := appliance.AllowListStatus{Name: "office", Description: "our own", Created: now, Updated: now, Items: 3}
	managed := appliance.AllowListStatus{Name: "console", Created: now, Managed: true}
	items := appliance.AllowListDetail{List: list, Items: []appliance.AllowItem{{Value: "192.0.2.0/24", Comment: "x", Created: now, Until: now.Add(time.Hour)},
		{Value: "vpn.example.org", Created: now, Source: &appliance.AllowSourceStatus{AllowSource: decisions.AllowSource{List: "office", Item: "vpn.example.org", Prefixes: 2}, Problem: "no answer"}}}}
	for _, c := range []struct {
		name, args string
		answer     any
	}{
		{"bouncers", "bouncers list", bouncers},
		{"bouncers-none", "bouncers list", []appliance.BouncerStatus{}},
		{"bouncers-add", "bouncers add nginx", appliance.BouncerAnswer{Name: "nginx", Key: "KEY", URL: "http://127.0.0.1:8080/"}},
		{"bouncer", "bouncers inspect nginx", appliance.BouncerDetail{Bouncer: bouncers[1], Streams: []appliance.StreamStatus{{Type: "fw", At: now}}, Usage: sampleUsage()}},
		{"bouncers-prune", "bouncers prune --force", bouncers},
		{"machines", "machines list", machines},
		{"machines-add", "machines add web1", appliance.MachineAnswer{Name: "web1", Password: "PASSWORD"}},
		{"machine", "machines inspect web1", appliance.MachineDetail{Machine: machines[0], Usage: sampleUsage()}},
		{"machine-new", "machines inspect new", appliance.MachineDetail{Machine: machines[1]}},
		{"machines-validate", "machines validate web1", machines[0]},
		{"allowlists", "allowlists list", []appliance.AllowListStatus{managed, list}},
		{"allowlists-inspect", "allowlists inspect office", items},
		{"allowlists-add", "allowlists add office a b", appliance.AllowItemsAnswer{List: "office", Done: []string{"a", "b"}, Refused: []appliance.RefusedItem{},
			Suppressed: 3, Holding: 1, LookedUp: 2}},
		{"allowlists-remove", "allowlists remove office a", appliance.AllowItemsAnswer{List: "office", Done: []string{"a"}, Refused: []appliance.RefusedItem{}, Restored: 1}},
		{"alerts-delete", "alerts delete --all", appliance.AlertsDeleted{Alerts: 2, Decisions: 1}},
		{"alerts-flush", "alerts flush", appliance.AlertsDeleted{Spared: 1}},
	} {
		checkGolden(t, c.name, c.args, c.answer)
	}
}
