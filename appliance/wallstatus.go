package appliance

import (
	"net/netip"

	"github.com/rampart-edge/rampart/firewall"
)

// FirewallStatus is what status shows of the firewall.
type FirewallStatus struct {
	Mode    string `json:"mode"`              // as configured
	Active  string `json:"active"`            // what happens: nftables, dry-run or off
	Problem string `json:"problem,omitempty"` // why they differ, or what else is wrong
	Table   string `json:"table,omitempty"`
	Owner   bool   `json:"owner"` // the kernel protects the table
	Entries int    `json:"bans"`
	// Dropped counts packets by the origin of the bans that dropped them.
	Dropped map[string]firewall.Traffic `json:"dropped,omitempty"`
	Refused int64                       `json:"bans_refused"` // reserved or too wide
	Evicted int64                       `json:"bans_evicted"`
	// Unlisted counts entries of lists that the kernel has no place for; they hold at
	// the HTTP layer.
	Unlisted int64 `json:"bans_of_lists_left_out"`
	Repairs  int64 `json:"repairs"`
	Errors   int64 `json:"errors"`
}

func (w *wall) status() FirewallStatus {
	now := w.face.Load()
	f := FirewallStatus{Mode: now.mode, Active: FirewallOff}
	if p := w.problem.Load(); p != nil {
		f.Problem = *p
	}
	f.Unlisted = w.unlisted.Load()
	if now.table != nil {
		s := now.table.Stats()
		f.Active, f.Table, f.Owner, f.Entries, f.Dropped = s.Mode, s.Table, s.Owner, s.Entries, s.Dropped
		f.Refused, f.Evicted, f.Repairs, f.Errors = s.Refused, s.Evicted, s.Repairs, s.Errors
	}
	return f
}

func (w *wall) explain(a netip.Addr) (firewall.Ban, bool) {
	f := w.face.Load()
	if f.table == nil || !f.running || f.mode != FirewallNftables {
		return firewall.Ban{}, false
	}
	return f.table.Explain(a)
}
