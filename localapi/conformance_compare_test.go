package localapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// durationSlack is by how much two durations may differ: captures do not tell when a
// request arrived to the second.
const durationSlack = 2 * time.Second

// comparison compares an answer with the real server's: the same keys, types and
// values, in any order of lists. Ids are paired, uuids, tokens and times compared by
// their form, durations up to some seconds, and texts of errors not at all.
type comparison struct {
	failed bool              // it is an error's body
	posted bool              // it is the list of ids that were made
	ids    map[string]string // theirs to ours, found out on the way
	diffs  []string
}

func (c *comparison) differ(path, format string, args ...any) {
	c.diffs = append(c.diffs, path+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) compare(path string, ours, theirs any) {
	switch theirs := theirs.(type) {
	case map[string]any:
		ours, ok := ours.(map[string]any)
		if !ok {
			c.differ(path, "%s, theirs is an object", text(ours))
			return
		}
		c.objects(path, ours, theirs)
	case []any:
		ours, ok := ours.([]any)
		if !ok {
			c.differ(path, "%s, theirs is a list", text(ours))
			return
		}
		c.lists(path, ours, theirs)
	default:
		c.values(path, ours, theirs)
	}
}

func (c *comparison) objects(path string, ours, theirs map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(theirs)) {
		if _, ok := ours[key]; !ok {
			c.differ(path+"."+key, "missing")
			continue
		}
		c.compare(path+"."+key, ours[key], theirs[key])
	}
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := theirs[key]; !ok {
			c.differ(path+"."+key, "%s, theirs has none", text(ours[key]))
		}
	}
}

// lists pairs elements that are the same but for ids, times and durations; of equal
// ones those of the longer durations first.
func (c *comparison) lists(path string, ours, theirs []any) {
	if c.posted && path == "body" {
		c.made(ours, theirs)
		return
	}
	byKey := map[string][]any{}
	for _, o := range ours {
		byKey[likeness(o)] = append(byKey[likeness(o)], o)
	}
	longest := func(a, b any) int { return int(length(b) - length(a)) }
	for _, list := range byKey {
		slices.SortStableFunc(list, longest)
	}
	theirs = slices.Clone(theirs)
	slices.SortStableFunc(theirs, longest)
	for _, their := range theirs {
		k := likeness(their)
		if len(byKey[k]) == 0 {
			c.differ(path, "%s is missing", k)
			continue
		}
		c.pair(byKey[k][0], their)
		c.compare(path+"["+k+"]", byKey[k][0], their)
		byKey[k] = byKey[k][1:]
	}
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		for range byKey[k] {
			c.differ(path, "%s, theirs has not", k)
		}
	}
}

// made pairs the ids of alerts that were made.
func (c *comparison) made(ours, theirs []any) {
	if len(ours) != len(theirs) {
		c.differ("body", "%d alerts made, theirs are %d", len(ours), len(theirs))
		return
	}
	for i := range ours {
		our, ok := ours[i].(string)
		if !ok {
			c.differ("body", "id %s is no text", text(ours[i]))
		}
		c.ids["alert "+theirs[i].(string)] = our
	}
}

// pair notes ids of alerts and decisions.
func (c *comparison) pair(ours, theirs any) {
	o, _ := ours.(map[string]any)
	t, _ := theirs.(map[string]any)
	our, ok := o["id"].(float64)
	their, too := t["id"].(float64)
	if !ok || !too {
		return
	}
	kind := "decision"
	if _, is := t["events_count"]; is {
		kind = "alert"
	}
	c.ids[kind+" "+strconv.Itoa(int(their))] = strconv.Itoa(int(our))
}

// values compares what is neither object nor list.
func (c *comparison) values(path string, ours, theirs any) {
	name := path[strings.LastIndex(path, ".")+1:]
	o, text1 := ours.(string)
	t, text2 := theirs.(string)
	switch {
	case fmt.Sprintf("%T", ours) != fmt.Sprintf("%T", theirs):
		c.differ(path, "%s, theirs is %s", text(ours), text(theirs))
	case name == "id", name == "uuid" && len(o) == len(t), name == "token" && o != "", c.failed && name == "message" && o != "":
	case text1 && text2 && isTime(name):
		if shapeOf(o) != shapeOf(t) {
			c.differ(path, "%s, theirs is %s", o, t)
		}
	case name == "duration":
		a, err1 := time.ParseDuration(o)
		b, err2 := time.ParseDuration(t)
		if max(a, b) <= 0 && strings.Contains(path, "].decisions[") {
			return // when exactly a decision of an alert was ended is not kept
		}
		if d := a - b; err1 != nil || err2 != nil || d > durationSlack || d < -durationSlack || a.String() != o {
			c.differ(path, "%s, theirs is %s", o, t)
		}
	case ours != theirs:
		c.differ(path, "%s, theirs is %s", text(ours), text(theirs))
	}
}

func isTime(name string) bool {
	return slices.Contains([]string{"created_at", "start_at", "stop_at", "expire", "timestamp", "updated_at", "expiration"}, name)
}

// likeness tells an element of a list from others that are not the same. Only what
// replays differently each time is left out.
func likeness(element any) string {
	object, ok := element.(map[string]any)
	if !ok {
		return text(element)
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(object)) {
		switch v := object[k].(type) {
		case string:
			if k != "uuid" && k != "duration" && !isTime(k) {
				parts = append(parts, v)
			}
		case map[string]any: // the source of an alert
			parts = append(parts, likeness(v))
		case []any:
			if k == "decisions" {
				for _, d := range v {
					parts = append(parts, likeness(d))
				}
				slices.Sort(parts[len(parts)-len(v):])
			}
		}
	}
	return strings.Join(parts, " ")
}

func length(element any) time.Duration {
	object, _ := element.(map[string]any)
	s, _ := object["duration"].(string)
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d / time.Second
}

// shapeOf is a text with its digits taken for one another.
func shapeOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}
		return r
	}, s)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
