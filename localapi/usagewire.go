package localapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// Limits of one report of usage.
const (
	maxWindows     = 256
	maxItems       = 10_000
	maxLabels      = 16
	maxUsageText   = 255 // CrowdSec compatible: of a version
	maxHubItems    = 20_000
	maxFlags       = 256
	maxDatasources = 256
)

// usageReport is the body of a report: one element, in the list that is the caller's.
type usageReport struct {
	Remediation list[usageElement] `json:"remediation_components"`
	Processors  list[usageElement] `json:"log_processors"`
}

// usageElement is what one component tells of itself. Fields that are not known are
// dropped.
type usageElement struct {
	FeatureFlags list[string]      `json:"feature_flags"`
	Metrics      list[usageWindow] `json:"metrics"`
	OS           *usageOS          `json:"os,omitempty"`
	Startup      *float64          `json:"utc_startup_timestamp"`
	Version      *string           `json:"version"`
	Name         string            `json:"name,omitempty"`

	// Of a remediation component.
	Type     string `json:"type,omitempty"`
	LastPull int64  `json:"last_pull,omitempty"`

	// Of a log processor.
	HubItems    dict[list[usageHubItem]] `json:"hub_items,omitempty"`
	Datasources dict[float64]            `json:"datasources,omitempty"`
	LastPush    int64                    `json:"last_push,omitempty"`
	LastUpdate  int64                    `json:"last_update,omitempty"`
}

type usageOS struct {
	Family  string `json:"family,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

type usageHubItem struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Status  string `json:"status"`
}

// usageWindow is what was counted in a while.
type usageWindow struct {
	Items list[usageItem] `json:"items"`
	Meta  *usageMeta      `json:"meta"`
}

type usageMeta struct {
	Now    *float64 `json:"utc_now_timestamp"`
	Window *float64 `json:"window_size_seconds"`
}

type usageItem struct {
	Labels dict[string] `json:"labels,omitempty"`
	Name   string       `json:"name"`
	Unit   string       `json:"unit"`
	Value  *float64     `json:"value"`
}

// list is an array that is never null. It takes what clients send in the place of
// one: nothing, an empty object (Lua knows no empty array), or the one element alone.
type list[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	*l = list[T]{}
	switch {
	case string(b) == "null" || emptyOf(b, '{', '}'):
		return nil
	case b[0] == '[':
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = list[T]{one}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (l list[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// dict is an object that takes an empty array, which is what Lua may write for it.
type dict[T any] map[string]T

// UnmarshalJSON implements json.Unmarshaler.
func (d *dict[T]) UnmarshalJSON(b []byte) error {
	if emptyOf(b, '[', ']') {
		*d = dict[T]{}
		return nil
	}
	return json.Unmarshal(b, (*map[string]T)(d))
}

// emptyOf tells whether b is a pair of brackets with nothing in it.
func emptyOf(b []byte, opening, closing byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) >= 2 && b[0] == opening && b[len(b)-1] == closing && len(bytes.TrimSpace(b[1:len(b)-1])) == 0
}

// check tells what an element lacks, or has too much of.
func (e *usageElement) check() error {
	var v violations
	v.need(e.Version != nil, "version")
	v.need(e.Startup != nil, "utc_startup_timestamp")
	if e.Version != nil && len(*e.Version) > maxUsageText {
		v = append(v, "version in body should be at most 255 chars long")
	}
	items, labels := 0, 0
	for i, w := range e.Metrics {
		at := fmt.Sprintf("metrics.%d.", i)
		v.need(w.Meta != nil, "metrics.%d.meta", i)
		v.need(w.Meta == nil || w.Meta.Now != nil, "metrics.%d.meta.utc_now_timestamp", i)
		v.need(w.Meta == nil || w.Meta.Window != nil, "metrics.%d.meta.window_size_seconds", i)
		for _, it := range w.Items {
			v.need(it.Name != "", "metrics.%d.items.name", i)
			v.need(it.Unit != "", "metrics.%d.items.unit", i)
			v.need(it.Value != nil, "metrics.%d.items.value", i)
			labels = max(labels, len(it.Labels))
			for k, text := range it.Labels {
				if len(k) > maxUsageText || len(text) > maxUsageText {
					v = append(v, at+"items.labels are too long")
				}
			}
			if len(it.Name) > maxUsageText || len(it.Unit) > maxUsageText {
				v = append(v, at+"items.name or unit is too long")
			}
		}
		if items += len(w.Items); len(v) > 10 {
			break // that is enough to know
		}
	}
	hub := 0
	for _, l := range e.HubItems {
		hub += len(l)
	}
	if len(e.Metrics) > maxWindows || items > maxItems || labels > maxLabels || hub > maxHubItems ||
		len(e.HubItems) > maxFlags || len(e.FeatureFlags) > maxFlags || len(e.Datasources) > maxDatasources {
		v = append(v, "body has too many metrics, items, labels, feature flags or hub items")
	}
	if err := v.err(); err != nil {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	return nil
}
