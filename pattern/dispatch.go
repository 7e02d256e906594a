package pattern

import "slices"

// dispatcher makes the jump tables of choices. Equal lists of candidates share
// nodes, equal tables share memory.
type dispatcher struct {
	choices map[*node][]*node
	all     []outlook
	groups  [][]int // symbols that no node of the pattern tells apart
	plain   map[string]*node
	wise    map[string]*node
	indexes map[[end + 1]uint8]*[end + 1]uint8
	words   *[256]bool
	nextID  int32
	list    []*node        // working memory
	entered map[*node]bool // choices whose candidates are in list; working memory
	name    []byte
}

func newDispatcher(b *builder, all []outlook) *dispatcher {
	return &dispatcher{
		choices: b.choices, all: all, groups: b.groups(all), nextID: int32(len(b.nodes)), words: &newClass([]rune("09AZ__az")).table,
		entered: map[*node]bool{}, plain: map[string]*node{}, wise: map[string]*node{}, indexes: map[[end + 1]uint8]*[end + 1]uint8{},
	}
}

// groups splits the symbols into those that no choice tells apart.
func (b *builder) groups(all []outlook) [][]int {
	var group [end + 1]int
	count := 1
	seen := map[symbols]bool{}
	for _, choice := range b.nodes {
		for _, n := range b.choices[choice] {
			o := &all[n.id]
			for _, s := range []*symbols{&o.first, &o.word, &o.space} {
				if !seen[*s] {
					seen[*s] = true
					count = split(&group, s, count)
				}
			}
		}
	}
	out := make([][]int, count)
	for symbol, g := range group {
		out[g] = append(out[g], symbol)
	}
	return slices.DeleteFunc(out, func(list []int) bool { return list == nil })
}

// split moves the symbols in s to groups of their own, numbered from count on.
func split(group *[end + 1]int, s *symbols, count int) int {
	moved := make([]int, count)
	for symbol, g := range group {
		if !s.has(symbol) {
			continue
		}
		if moved[g] == 0 {
			moved[g] = count
			count++
		}
		group[symbol] = moved[g]
	}
	return count
}

// jumps makes the table of what target says for each symbol.
func (d *dispatcher) jumps(target func(symbol int) *node) *jumps {
	j := &jumps{}
	var index [end + 1]uint8
	for _, group := range d.groups {
		n := target(group[0])
		i := slices.Index(j.targets, n)
		if i < 0 {
			i = len(j.targets)
			j.targets = append(j.targets, n)
		}
		for _, symbol := range group {
			index[symbol] = uint8(i)
		}
	}
	if d.indexes[index] == nil {
		d.indexes[index] = &index
	}
	j.index = d.indexes[index]
	return j
}

// choice makes the table of a choice by the coming symbol.
func (d *dispatcher) choice(n *node) *jumps {
	return d.jumps(func(symbol int) *node {
		clear(d.entered)
		d.list = d.candidates(d.list[:0], n, symbol)
		return d.look(d.list)
	})
}

// candidates appends the nodes that can go on at a choice before symbol, in order.
// A node that came before need not be tried again.
func (d *dispatcher) candidates(list []*node, n *node, symbol int) []*node {
	for _, c := range d.choices[n] {
		switch {
		case !d.all[c.id].first.has(symbol) || slices.Contains(list, c):
		case c.op == opChoice:
			if !d.entered[c] {
				d.entered[c] = true
				list = d.candidates(list, c, symbol)
			}
		default:
			list = append(list, c)
		}
	}
	return list
}

// look returns the node that tries all of list in order, nil for none; where
// looking ahead may make the list shorter, it looks first.
func (d *dispatcher) look(list []*node) *node {
	if len(list) < 2 {
		return d.chain(list)
	}
	n, ok := d.wise[string(d.key(list))]
	if !ok {
		k := string(d.name)
		n = d.ahead(list, opWordAhead, func(o *outlook) *symbols { return &o.word }, func(list []*node) *node {
			return d.ahead(list, opNextAhead, func(o *outlook) *symbols { return &o.space }, d.chain)
		})
		d.wise[k] = n
	}
	return n
}

// ahead returns a node that drops from list what a set of its outlook rules out,
// if it ever rules out anything, and then does what then says.
func (d *dispatcher) ahead(list []*node, o op, set func(*outlook) *symbols, then func([]*node) *node) *node {
	if len(list) < 2 {
		return then(list)
	}
	same := func(n *node) bool { return *set(&d.all[n.id]) == *set(&d.all[list[0].id]) }
	if !slices.ContainsFunc(list, func(n *node) bool { return !same(n) }) {
		return then(list)
	}
	useful := false
	left := make([]*node, 0, len(list))
	j := d.jumps(func(symbol int) *node {
		left = left[:0]
		for _, n := range list {
			if set(&d.all[n.id]).has(symbol) {
				left = append(left, n)
			}
		}
		useful = useful || len(left) < len(list) && len(left) > 0
		return then(left)
	})
	if !useful {
		return then(list)
	}
	d.nextID++
	return &node{op: o, id: d.nextID, next: d.chain(list), jumps: j, table: d.words}
}

// chain returns the node that tries all of list in order, nil for none.
func (d *dispatcher) chain(list []*node) *node {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	if n, ok := d.plain[string(d.key(list))]; ok {
		return n
	}
	k := string(d.name)
	d.nextID++
	n := &node{op: opSplit, id: d.nextID, next: list[0], rest: d.chain(list[1:])}
	d.plain[k] = n
	return n
}

// key names a list of nodes. It is valid until the next call.
func (d *dispatcher) key(list []*node) []byte {
	d.name = d.name[:0]
	for _, n := range list {
		d.name = append(d.name, byte(n.id>>24), byte(n.id>>16), byte(n.id>>8), byte(n.id))
	}
	return d.name
}
