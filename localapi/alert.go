package localapi

import (
	"net/http"
	"strconv"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// alertRoutes are those of alerts.
func alertRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/alerts", machine, 0, (*call).getAlerts},
		{http.MethodHead, "/v1/alerts", machine, 0, (*call).headOK},
		{http.MethodPost, "/v1/alerts", machine, maxBody, (*call).postAlerts},
		{http.MethodDelete, "/v1/alerts", machine, 0, (*call).deleteAlerts},
		{http.MethodGet, "/v1/alerts/:alert_id", machine, 0, (*call).getAlert},
		{http.MethodHead, "/v1/alerts/:alert_id", machine, 0, (*call).getAlert},
		{http.MethodDelete, "/v1/alerts/:alert_id", machine, 0, (*call).deleteAlert},
	}
}

// getAlerts answers with the alerts that match the query, the newest first.
//
// CrowdSec compatible: none at all is the word null.
func (c *call) getAlerts() error {
	q, err := c.alertQuery()
	if err != nil {
		return err
	}
	out := newOutput(c)
	for a := range c.s.o.Book.AlertSeq(q.AlertFilter) {
		out.open("[", ",")
		out.buf = c.appendAlert(out.buf, &a, q.decisions)
		if err := out.spill(); err != nil {
			return err
		}
	}
	return out.close("]", "null")
}

// getAlert answers with one alert.
func (c *call) getAlert() error {
	id, err := c.alertID()
	if err != nil {
		return err
	}
	a, ok := c.s.o.Book.Alert(id)
	switch {
	case !ok:
		return fail(http.StatusNotFound, "object not found")
	case c.r.Method == http.MethodHead:
		return c.head(http.StatusOK)
	}
	return c.raw(http.StatusOK, c.appendAlert(nil, &a, true))
}

func (c *call) alertID() (int64, error) {
	id, err := strconv.ParseInt(c.param("alert_id"), 10, 64)
	if err != nil {
		return 0, fail(http.StatusBadRequest, "alert_id must be valid integer")
	}
	return id, nil
}

// appendAlert writes an alert as it is now.
func (c *call) appendAlert(dst []byte, a *event.Alert, withDecisions bool) []byte {
	if withDecisions {
		c.s.o.Book.Standing(a)
	} else {
		a.Decisions = nil
	}
	return appendAlert(dst, a, c.now)
}

// mayDelete refuses callers that are not here and not trusted.
//
// CrowdSec compatible: alerts are deleted from loopback, the unix socket and trusted
// addresses only. Unlike there, being sent on by a proxy takes the privilege away.
func (c *call) mayDelete() error {
	if c.peer.Local || c.peer.Own && contains(c.config.TrustedIPs, c.peer.Addr) {
		return nil
	}
	return fail(http.StatusForbidden, "alerts may be deleted from this machine and from trusted addresses only")
}

// deleteAlerts removes the alerts that match the query, and ends what they led to.
func (c *call) deleteAlerts() error {
	if err := c.mayDelete(); err != nil {
		return err
	}
	q, err := c.alertQuery()
	if err != nil {
		return err
	}
	n, err := c.removeAlerts(q.AlertFilter)
	if err != nil {
		return err
	}
	return c.deleted(n)
}

// deleteAlert removes one alert.
func (c *call) deleteAlert() error {
	if err := c.mayDelete(); err != nil {
		return err
	}
	id, err := c.alertID()
	if err != nil {
		return err
	}
	n := 0
	if id > 0 {
		if n, err = c.removeAlerts(decisions.AlertFilter{IDs: []int64{id}}); err != nil {
			return err
		}
	}
	if n == 0 {
		return fail(http.StatusNotFound, "alert not found")
	}
	return c.deleted(n)
}

func (c *call) removeAlerts(f decisions.AlertFilter) (int, error) {
	n, _, err := c.s.o.Book.DeleteAlerts(f, c.machine.Name)
	if err != nil {
		return n, err
	}
	return n, c.flush()
}
