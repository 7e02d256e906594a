package expression

import (
	"net/netip"

	"github.com/expr-lang/expr/ast"

	"github.com/rampart-edge/rampart/needle"
)

// callTest is a function that gives true or false.
func (t translator) callTest(n *ast.CallNode) *test {
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		return t.setting(m, n)
	}
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) == 0 || len(n.Arguments) > 2 || !allText(n.Arguments) {
		return nil
	}
	a := t.words(n.Arguments[0])
	if a == nil {
		return nil
	}
	if len(n.Arguments) == 1 {
		if f := addressTest(id.Value); f != nil {
			return &test{run: func(v *Vars) bool { s := a.read(v); return v.run.fault == nil && f(v.ip.of(s)) }}
		}
		return nil
	}
	b := t.words(n.Arguments[1])
	if b == nil {
		return nil
	}
	switch id.Value {
	case "RegexpInFile":
		return t.regexps(a, b)
	case "IpInRange":
		c := t.inRange(a, b)
		c.over = t.overRanges(n.Arguments[0], a, b)
		return c
	case "Match":
		return &test{run: func(v *Vars) bool {
			glob, s := a.read(v), b.read(v)
			return v.run.fault == nil && matchGlob(glob, s)
		}}
	}
	return nil
}

func addressTest(name string) func(netip.Addr) bool {
	switch name {
	case "IsIP":
		return netip.Addr.IsValid
	case "IsIPV4":
		return netip.Addr.Is4
	case "IsIPV6":
		return netip.Addr.Is6
	}
	return nil
}

// setting is a method that writes to the event.
func (t translator) setting(m *ast.MemberNode, n *ast.CallNode) *test {
	set := setter(literal(m.Property))
	if set == nil || !isVariable(m.Node, "evt") || len(n.Arguments) != 2 {
		return nil
	}
	key, x := t.words(n.Arguments[0]), t.words(n.Arguments[1])
	if key == nil || x == nil {
		return nil
	}
	return &test{run: func(v *Vars) bool {
		k, s := key.read(v), x.read(v)
		if v.run.fault != nil {
			return false
		}
		v.Memo.forget()
		return set(v.Evt, k, s)
	}}
}

// inRange is IpInRange. A constant range is parsed once.
func (t translator) inRange(ip, cidr *text) *test {
	if !cidr.constant {
		return &test{run: func(v *Vars) bool {
			a, r := ip.read(v), cidr.read(v)
			return v.run.fault == nil && inRange(a, r)
		}}
	}
	r, err := netip.ParsePrefix(cidr.value)
	if err != nil {
		return &test{run: func(v *Vars) bool { ip.read(v); return false }}
	}
	r = unmapped(r)
	return &test{run: func(v *Vars) bool {
		s := ip.read(v)
		return v.run.fault == nil && r.Contains(v.ip.of(s))
	}}
}

// mergedRanges makes one test of those parts of a disjunction that ask for one address
// whether it is in constant ranges. It returns the other parts; nil: there are not two.
func (t translator) mergedRanges(parts []ast.Node) (one *test, others []ast.Node) {
	var ip *text
	var list ranges
	for _, part := range parts {
		x, cidr := t.constantRange(part)
		if x == nil || ip != nil && ip.key != x.key {
			others = append(others, part)
			continue
		}
		ip = x
		list.add(cidr)
	}
	if len(parts)-len(others) < 2 {
		return nil, parts
	}
	list.join()
	return &test{run: func(v *Vars) bool {
		a := v.ip.of(ip.read(v))
		return a.IsValid() && list.has(a)
	}}, others
}

// constantRange is IpInRange(text of the event, 'range').
func (t translator) constantRange(node ast.Node) (ip *text, cidr string) {
	n, ok := node.(*ast.CallNode)
	if !ok || !isVariable(n.Callee, "IpInRange") || len(n.Arguments) != 2 || !allText(n.Arguments) {
		return nil, ""
	}
	x, r := t.words(n.Arguments[0]), t.words(n.Arguments[1])
	if x == nil || r == nil || x.key == "" || !r.constant {
		return nil, ""
	}
	return x, r.value
}

// regexps is RegexpInFile. What the data list says about keeping results does not
// matter: they are the same without, and most texts are turned away unmatched.
func (t translator) regexps(x, name *text) *test {
	exact := func(v *Vars) bool {
		s, file := x.read(v), name.read(v)
		if v.run.fault != nil {
			return false
		}
		f := t.env.file(file, "regexp")
		return f != nil && t.env.matchers.of(f).match(s)
	}
	if !name.constant || x.source == nil {
		return &test{run: exact}
	}
	c := x.source.add(fileWeight, func(files *registry) ([]needle.Needle, bool) {
		f := files.files[name.value]
		if f == nil || f.kind != "regexp" {
			return nil, true
		}
		var all []needle.Needle
		for _, re := range f.patterns {
			list := required(re.String(), x.cased)
			if len(list) == 0 {
				return nil, false
			}
			all = append(all, list...)
		}
		return all, true
	})
	return &test{needs: []clause{{c}}, run: func(v *Vars) bool {
		if hit, known := c.asked(v); known && !hit {
			return false
		}
		return exact(v)
	}}
}

// lookup is LookupFile with the name of a file.
func (t translator) lookup(x *text, name string) *text {
	exact := func(v *Vars) string {
		s := x.read(v)
		f := t.env.file(name, "map")
		if f == nil || v.run.fault != nil {
			return ""
		}
		return f.rows.lookup(s)
	}
	if x.source == nil {
		return madeText(exact)
	}
	c := x.source.add(fileWeight, func(files *registry) ([]needle.Needle, bool) {
		f := files.files[name]
		if f == nil || f.kind != "map" {
			return nil, true
		}
		return f.rows.needles(x.cased)
	})
	out := madeText(func(v *Vars) string {
		if hit, known := c.asked(v); known && !hit {
			return ""
		}
		return exact(v)
	})
	out.unless = []clause{{c}}
	return out
}

// needles are what a text must have one of for its form in a case to have a row;
// ok is false where any text may have one.
func (r *rows) needles(cased needle.Case) (list []needle.Needle, ok bool) {
	for _, row := range r.all {
		n := needle.Needle{Text: row["pattern"], Case: cased}
		switch row["type"] {
		case "equals":
			n.Place = needle.Whole
		case "regex":
			more := required(row["pattern"], cased)
			if len(more) == 0 {
				return nil, false
			}
			list = append(list, more...)
			continue
		}
		list = append(list, n)
	}
	return list, true
}
