package localapi

import (
	"encoding/json"
	"net/http"
)

// Kinds of callers that report their usage.
const (
	kindBouncer = "bouncer"
	kindMachine = "machine"
)

// usageMetrics takes what a bouncer or a machine counted since it last told.
// CrowdSec compatible: 201 without a body. Unlike there, {} is taken for an empty
// array and a single object for an array of it.
func usageMetrics(c *call) error {
	var in usageReport
	if err := c.decode(&in); err != nil {
		return err
	}
	kind, name, elements, what := kindMachine, "", in.Processors, "log processor"
	if c.bouncer != nil {
		kind, name, elements, what = kindBouncer, c.bouncer.Name, in.Remediation, "remediation component"
	} else {
		name = c.machine.Name
	}
	switch {
	case len(elements) == 0:
		return fail(http.StatusBadRequest, "Missing %s data", what)
	case len(elements) > 1:
		return fail(http.StatusBadRequest, "Payload has more than one %s", what)
	}
	e := &elements[0]
	if err := e.check(); err != nil {
		return err
	}
	c.s.o.Registry.reported(kind, name, e)
	return c.empty(http.StatusCreated)
}

// element is e as it is kept and handed on, without what is too long to be.
func (e *usageElement) element() json.RawMessage {
	kept := *e
	for _, cut := range []func(){func() {}, func() { kept.HubItems = nil }, func() { kept.Metrics = nil }} {
		cut()
		if b, err := json.Marshal(&kept); err == nil && len(b) <= maxKeptElement {
			return b
		}
	}
	return json.RawMessage("{}")
}
