package scenarios

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// valuesOf runs a context's expression. CrowdSec compatible: texts, numbers and
// lists of either; anything else as it prints, unless it is nothing. An expression
// that fails has no values.
func valuesOf(p *expression.Program, v *expression.Vars) []string {
	out, err := p.Any(v)
	if err != nil {
		return nil
	}
	switch out := out.(type) {
	case nil:
		return nil
	case string:
		return []string{out}
	case []string:
		return out
	case int:
		return []string{strconv.Itoa(out)}
	case []int:
		var list []string
		for _, n := range out {
			list = append(list, strconv.Itoa(n))
		}
		return list
	}
	if r := reflect.ValueOf(out); r.IsZero() {
		return nil
	}
	return []string{fmt.Sprintf("%v", out)}
}

// shortened returns the values as a JSON list of at most limit bytes. CrowdSec
// compatible: the last values go first, and one that is too long alone loses half
// of itself until it fits.
func shortened(values []string, limit int) string {
	for {
		text, err := json.Marshal(values)
		if err != nil {
			return "[]" // texts always marshal
		}
		if len(text) <= limit {
			return string(text)
		}
		last := len(values) - 1
		switch {
		case last > 0:
			values = values[:last]
		case len(values[0]) < 8:
			return "[]" // no limit that anybody sets is that small
		default:
			values = []string{strings.ToValidUTF8(values[0][:len(values[0])/2], "") + "..."}
		}
	}
}

// A context value in a sample belongs to a number: those below len(paths) are
// fields of the event, the others early expressions.
type contextValue struct {
	number int
	text   string
}

// appendContext appends what c needs of ev beyond its Meta:
//
//	count · (id uint32 · (number · text)…)
func (c *Contexts) appendContext(b []byte, ev *event.Event, cut int) []byte {
	if c == nil || len(c.paths)+len(c.early) == 0 {
		return append(b, 0)
	}
	var list []contextValue
	for i, path := range c.paths {
		if v, ok := textOf(ev, path); ok && v != "" {
			list = append(list, contextValue{i, v})
		}
	}
	for i, p := range c.early {
		for _, v := range valuesOf(p, &expression.Vars{Evt: ev, Req: &http.Request{}}) {
			if v != "" {
				list = append(list, contextValue{len(c.paths) + i, v})
			}
		}
	}
	list = list[:min(len(list), maxItems)]
	b = binary.AppendUvarint(b, uint64(len(list)))
	if len(list) == 0 {
		return b
	}
	b = binary.LittleEndian.AppendUint32(b, c.id)
	for _, v := range list {
		b = appendText(binary.AppendUvarint(b, uint64(v.number)), v.text, cut)
	}
	return b
}

// recall puts the fields that were kept for c back into the event.
func (s *Sample) recall(c *Contexts, ev *event.Event) {
	if s.contextID != c.id {
		return
	}
	for _, v := range s.context {
		if v.number < len(c.paths) {
			setText(ev, c.paths[v.number], v.text)
		}
	}
}

// kept returns the text that was kept with a number, "" where there is none.
func (s *Sample) kept(c *Contexts, n int) string {
	if s.contextID != c.id {
		return ""
	}
	for _, v := range s.context {
		if v.number == n {
			return v.text
		}
	}
	return ""
}

// early returns the values that an expression gave when the event was poured.
func (s *Sample) early(c *Contexts, n int) []string {
	if n < 0 || s.contextID != c.id {
		return nil
	}
	var out []string
	for _, v := range s.context {
		if v.number == len(c.paths)+n {
			out = append(out, v.text)
		}
	}
	return out
}
