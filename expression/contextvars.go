package expression

import (
	"net/http"

	"github.com/rampart-edge/rampart/event"
)

// contextVars are the variables of the context of an alert (OnContext). match is
// the rule of a WAF that matched, without one nil, which has no keys. req is the
// live request; nil for lines.
type contextVars struct {
	Evt   *event.Event   `expr:"evt"`
	Match map[string]any `expr:"match"`
	Req   *http.Request  `expr:"req"`
}

// contextOf fills them. CrowdSec compatible: an expression that looks into a request
// that is not there fails.
func contextOf(v *Vars) *contextVars { return &contextVars{v.Evt, v.Match, v.Req} }
