package localapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// alertQuery is what a request wants of the alerts.
type alertQuery struct {
	decisions.AlertFilter
	decisions bool // with their decisions
}

// alertQuery reads the query of the request.
func (c *call) alertQuery() (*alertQuery, error) {
	v, err := c.query()
	if err != nil {
		return nil, err
	}
	return readAlertQuery(v, c.now)
}

// readAlertQuery reads the filters of alerts; ages count from now.
//
// CrowdSec compatible: names and meanings. An unknown key is refused, and so is one
// without a value, since a filter that is overlooked would delete too much.
func readAlertQuery(v url.Values, now time.Time) (*alertQuery, error) {
	if err := refuseEmpty(v, slices.Collect(maps.Keys(v))...); err != nil {
		return nil, err
	}
	q := &alertQuery{decisions: true}
	for key := range v {
		if err := q.read(v, key, now); err != nil {
			return nil, err
		}
	}
	var err error
	if q.Prefix, q.Within, err = readPrefix(v); err != nil {
		return nil, err
	}
	if q.Origin != "" { // CrowdSec compatible: who names an origin wants that of lists too
		q.HideLists = false
	}
	return q, nil
}

// read takes one key.
func (q *alertQuery) read(v url.Values, key string, now time.Time) error {
	text := v.Get(key)
	switch key {
	case "scope":
		q.Scope = canonicalScope(text)
	case "value":
		q.Value = text
	case "scenario":
		q.Scenario = text
	case "kind":
		q.Kind = text
	case "origin":
		q.Origin = text
	case "decision_type":
		q.DecisionType = text
	case "since":
		return age(text, now, &q.StartedAfter)
	case "until":
		return age(text, now, &q.StartedBefore)
	case "created_before":
		if err := age(text, now, &q.Until); err != nil {
			return err
		}
		q.Until = q.Until.Add(time.Millisecond) // the filter is exclusive
	case "sort":
		q.Oldest = text == "ASC"
	case "limit":
		return q.readLimit(text)
	case "simulated", "include_capi", "with_decisions", "has_active_decision":
		return q.readBool(key, text)
	}
	return q.known(key)
}

// known refuses keys that are not known.
func (q *alertQuery) known(key string) error {
	switch key {
	case "scope", "value", "scenario", "ip", "range", "contains", "since", "until", "created_before", "has_active_decision",
		"decision_type", "origin", "include_capi", "simulated", "kind", "with_decisions", "limit", "sort":
		return nil
	}
	return fail(http.StatusBadRequest, "filter parameter %.100q is unknown", key)
}

func (q *alertQuery) readBool(key, text string) error {
	is, err := strconv.ParseBool(text)
	if err != nil {
		return fail(http.StatusBadRequest, "%s: %.100q is not a boolean", key, text)
	}
	switch key {
	case "simulated": // CrowdSec compatible: true does not restrict
		if !is {
			q.Simulated = &is
		}
	case "include_capi":
		q.HideLists = !is
	case "with_decisions":
		q.decisions = is
	case "has_active_decision":
		q.InForce = &is
	}
	return nil
}

// readLimit reads how many alerts are wanted. CrowdSec compatible: 0 means all.
func (q *alertQuery) readLimit(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return fail(http.StatusBadRequest, "bad limit in parameters: %.100q: expected a number, 0 for all", text)
	}
	if q.Limit = int(n); n == 0 {
		q.Limit = -1
	}
	return nil
}

// age reads a duration and sets to as long ago.
func age(text string, now time.Time, to *time.Time) error {
	d, err := decisions.ParseDuration(text)
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	*to = now.Add(-d)
	return nil
}
