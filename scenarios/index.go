package scenarios

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

// maxColumns is how many fields have a column: each costs two look-ups for an event
// that rules are left for which care. Requirements on other fields are checked for
// those that are left over.
const maxColumns = 16

// broad is how many rules must ask for a field for its column to be read before
// anything is searched for, which leaves few rules over.
const broad = 3

// index finds the rules whose filter an event may pass, by the values that their
// filters require and by the constant texts that they look for.
type index struct {
	all      set
	columns  []column // those that most rules ask for first
	broad    int      // how many are read before the searches
	searches searches
	checks   [][]check // by number of the rule: what no column covers
}

// column is one field: for each value that some rule asks for, the rules that it
// suits, with those that do not care.
type column struct {
	field  field
	suits  map[string]set
	others set // the rules that do not care
	asking set // those that do
}

// check is a requirement (or, with not, an exclusion) outside the columns.
type check struct {
	field  field
	values []string
	not    bool
}

func newIndex(list []*Scenario) index {
	x := index{all: newSet(len(list)), checks: make([][]check, len(list))}
	needs := make([]map[string][]string, len(list))
	asked := map[string]int{}
	for i, s := range list {
		x.all.add(i)
		if s.filter.Plain() {
			continue
		}
		needs[i] = merge(s.filter.Requires())
		for f := range needs[i] {
			asked[f]++
		}
		for _, r := range s.filter.Excludes() {
			x.checks[i] = append(x.checks[i], check{fieldOf(r.Field), r.Values, true})
		}
	}
	names := slices.SortedFunc(maps.Keys(asked), func(a, b string) int {
		return cmp.Or(asked[b]-asked[a], strings.Compare(a, b))
	})
	covered := names[:min(len(names), maxColumns)]
	for _, name := range covered {
		if asked[name] >= broad {
			x.broad++
		}
		x.columns = append(x.columns, newColumn(name, needs))
	}
	for i := range needs {
		for f, values := range needs[i] {
			if !slices.Contains(covered, f) {
				x.checks[i] = append(x.checks[i], check{field: fieldOf(f), values: values})
			}
		}
	}
	x.searches = newSearches(list)
	return x
}

// merge intersects the requirements on one field.
func merge(list []expression.Requirement) map[string][]string {
	out := map[string][]string{}
	for _, r := range list {
		values := slices.Clone(r.Values)
		if before, ok := out[r.Field]; ok {
			values = slices.DeleteFunc(values, func(v string) bool { return !slices.Contains(before, v) })
		}
		out[r.Field] = values
	}
	return out
}

func newColumn(name string, needs []map[string][]string) column {
	c := column{field: fieldOf(name), suits: map[string]set{}, others: newSet(len(needs)), asking: newSet(len(needs))}
	for i := range needs {
		if values, ok := needs[i][name]; !ok {
			c.others.add(i)
		} else {
			c.asking.add(i)
			for _, v := range values {
				if c.suits[v] == nil {
					c.suits[v] = newSet(len(needs))
				}
				c.suits[v].add(i)
			}
		}
	}
	for _, s := range c.suits {
		for w := range s {
			s[w] |= c.others[w]
		}
	}
	return c
}

// narrow leaves in b only the rules that columns and searches let the event pass.
func (x *index) narrow(b *round) {
	fit(x.columns[:x.broad], b)
	x.searches.narrow(b)
	fit(x.columns[x.broad:], b)
}

// fit takes those out of b that a column does not suit.
func fit(columns []column, b *round) {
	s, ev := b.left, b.vars.Evt
	for i := range columns {
		c := &columns[i]
		if !s.meets(c.asking) {
			continue
		}
		fit, ok := c.suits[c.field.of(ev)]
		if !ok {
			fit = c.others
		}
		for w := range s {
			s[w] &= fit[w]
		}
	}
}

// admits checks what no column covers.
func (x *index) admits(n int, ev *event.Event) bool {
	for i := range x.checks[n] {
		c := &x.checks[n][i]
		if slices.Contains(c.values, c.field.of(ev)) == c.not {
			return false
		}
	}
	return true
}

// field is where a requirement looks.
type field struct {
	name string // as in expression.Requirement
	part byte   // 'M', 'P', or 0 for all others
	key  string
}

func fieldOf(name string) field {
	if k, ok := strings.CutPrefix(name, "Meta."); ok {
		return field{name, 'M', k}
	}
	if k, ok := strings.CutPrefix(name, "Parsed."); ok {
		return field{name, 'P', k}
	}
	return field{name: name}
}

func (f *field) of(ev *event.Event) string {
	switch f.part {
	case 'M':
		return ev.Meta[f.key]
	case 'P':
		return ev.Parsed[f.key]
	}
	return expression.Value(ev, f.name)
}

// set is a set of small numbers.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s set) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

// meets reports whether the two have a member in common.
func (s set) meets(other set) bool {
	for w := range s {
		if s[w]&other[w] != 0 {
			return true
		}
	}
	return false
}

// next returns the smallest member that is at least n, -1 if there is none.
func (s set) next(n int) int {
	for w := n / 64; w < len(s); w++ {
		word := s[w]
		if w == n/64 {
			word &= ^uint64(0) << (n % 64)
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}
