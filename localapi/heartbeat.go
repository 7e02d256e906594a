package localapi

import (
	"net/http"
	"time"
)

// heartbeat notes that a machine is alive.
func heartbeat(c *call) error {
	c.s.o.Registry.touchMachine(c.machine.Name, func(m *machineRow, now time.Time) {
		m.LastHeartbeat = now
		if c.peer.Addr.IsValid() {
			m.IP = c.peer.Addr.String()
		}
	})
	return c.empty(http.StatusOK)
}
