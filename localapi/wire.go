package localapi

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rampart-edge/rampart/decisions"
)

// originLists is what all decisions of lists have for their origin on the wire.
// CrowdSec compatible: the list's name is their scenario.
const originLists = "lists"

// originCommunity is the origin of the Central API's list.
const originCommunity = "CAPI"

// form is one of the ways in which a decision is written.
type form uint8

const (
	formLive  form = iota // neither uuid nor simulated
	formNew               // uuid, no simulated; never 0s
	formGone              // the same; the duration is not positive
	formAlert             // simulated, no uuid
)

// cause returns origin and scenario as they are on the wire.
func cause(origin, scenario string) (string, string) {
	if name, ok := decisions.ListOf(origin); ok {
		return originLists, name
	}
	return origin, scenario
}

// appendDecision writes a decision whose end is left away from now. CrowdSec
// compatible: alphabetical keys, uuids for all but what lists say.
func appendDecision(dst []byte, d *decisions.Decision, left time.Duration, f form) []byte {
	origin, scenario := cause(d.Origin, d.Scenario)
	switch f {
	case formLive, formNew:
		left = atLeastSecond(left)
	case formGone:
		left = min(left, 0)
	}
	dst = append(dst, `{"duration":"`...)
	dst = append(appendDuration(dst, left), '"')
	if d.ID != 0 {
		dst = strconv.AppendInt(append(dst, `,"id":`...), d.ID, 10)
	}
	dst = appendString(append(dst, `,"origin":`...), origin)
	dst = appendString(append(dst, `,"scenario":`...), scenario)
	dst = appendString(append(dst, `,"scope":`...), d.Scope)
	if f == formAlert {
		dst = strconv.AppendBool(append(dst, `,"simulated":`...), d.Simulated)
	}
	dst = appendString(append(dst, `,"type":`...), d.Type)
	if (f == formNew || f == formGone) && d.UUID != "" && origin != originLists && origin != originCommunity {
		dst = appendString(append(dst, `,"uuid":`...), d.UUID)
	}
	dst = appendString(append(dst, `,"value":`...), d.Value)
	return append(dst, '}')
}

// appendString writes s as JSON. Most texts need no escape.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf {
			text, err := json.Marshal(s)
			if err != nil { // cannot be: it is a text
				text = []byte(`""`)
			}
			return append(dst, text...)
		}
	}
	dst = append(append(slices.Grow(dst, len(s)+2), '"'), s...)
	return append(dst, '"')
}
