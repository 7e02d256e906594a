package localapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/rampart-edge/rampart/decisions"
)

// readDeletion reads which decisions are to be ended; an empty query means all.
//
// CrowdSec compatible: keys, scopes among them and scope not; what is unknown is
// refused, since a filter that is overlooked would end too many.
func readDeletion(v url.Values) (decisions.Query, error) {
	q := decisions.Query{Simulated: true}
	for key := range v {
		switch key {
		case "ip", "range", "contains", "value", "type", "scenario", "origin", "uuid", "scopes":
		default:
			return q, fail(http.StatusBadRequest, "filter %.100q doesn't exist", key)
		}
	}
	if err := refuseEmpty(v, slices.Collect(maps.Keys(v))...); err != nil {
		return q, err
	}
	q.Value, q.Scenario = v.Get("value"), v.Get("scenario")
	for _, f := range []struct {
		key string
		to  *[]string
	}{{"type", &q.Types}, {"origin", &q.Origins}} {
		if text := v.Get(f.key); text != "" {
			*f.to = []string{text}
		}
	}
	q.UUIDs = words(v, "uuid")
	q.Scopes = canonicalScopes(words(v, "scopes"))
	for _, list := range [][]string{q.UUIDs, q.Scopes} {
		if len(list) > maxQueryValues {
			return q, fail(http.StatusBadRequest, "%d values in one filter, at most %d fit", len(list), maxQueryValues)
		}
	}
	var err error
	q.Prefix, q.Within, err = readPrefix(v)
	return q, err
}
