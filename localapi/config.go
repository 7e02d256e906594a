package localapi

import (
	"net/netip"
	"time"
)

// minAutoToken is the least length of a registration token.
// CrowdSec compatible: 32.
const minAutoToken = 32

// Config is what may change while the server runs.
type Config struct {
	// TrustedIPs may delete alerts, beside loopback.
	TrustedIPs []netip.Prefix
	// ForwardedFrom are the proxies whose X-Forwarded-For counts on the own
	// listener. Empty: nobody's.
	ForwardedFrom []netip.Prefix
	// LocalRegistration lets only loopback and the unix socket register machines.
	LocalRegistration bool
	// AutoToken, of at least 32 characters, validates a machine as it registers, if
	// it comes from AutoRanges. Empty, or shorter: no machine is.
	AutoToken  string
	AutoRanges []netip.Prefix
	// AgentOUs and BouncerOUs are the organisational units of client certificates
	// that are taken for machines and bouncers. Empty: none.
	AgentOUs, BouncerOUs []string
	// Idle says when rows that nobody uses go.
	Idle Idle
}

// Idle are the times after which a row goes that was not used, zero for never.
type Idle struct {
	BouncerKey, BouncerCert      time.Duration
	MachinePassword, MachineCert time.Duration
	// Unvalidated is for machines that registered and were never validated.
	Unvalidated time.Duration
}

// registersItself tells whether a token may validate a machine.
func (c *Config) registersItself() bool { return len(c.AutoToken) >= minAutoToken }

func contains(ps []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
