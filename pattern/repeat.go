package pattern

import "regexp/syntax"

// repeat builds re.Sub[0] as often as re says.
func (b *builder) repeat(re *syntax.Regexp, next *node) *node {
	low, high := bounds(re)
	lazy := re.Flags&syntax.NonGreedy != 0
	sub := re.Sub[0]
	if single(sub) && high != 0 {
		return b.run(&run{class: b.class(sub), min: low, max: high, lazy: lazy}, next)
	}
	switch {
	case high < 0 && nullable(sub):
		b.err = errEmpty
		return next
	case high < 0 && low > 0:
		next = b.loop(sub, lazy, next, true)
		low--
	case high < 0:
		next = b.loop(sub, lazy, next, false)
	}
	b.optional++
	after := next
	for range high - low {
		if b.err != nil {
			return next
		}
		if with := b.build(sub, next); lazy {
			next = b.choose(after, with)
		} else {
			next = b.choose(with, after)
		}
	}
	b.optional--
	for range low {
		if b.err != nil {
			return next
		}
		next = b.build(sub, next)
	}
	return next
}

// loop builds sub as often as it matches, at least once if once is set.
func (b *builder) loop(sub *syntax.Regexp, lazy bool, next *node, once bool) *node {
	b.optional++
	b.loops = true
	again := b.choose()
	body := b.build(sub, again)
	b.choices[again] = []*node{body, next}
	if lazy {
		b.choices[again] = []*node{next, body}
	}
	b.optional--
	if once {
		return body
	}
	return again
}

func (b *builder) run(r *run, next *node) *node {
	if r.min == 1 && r.max == 1 {
		return b.one(r.class, next)
	}
	o := opGreedy
	if r.lazy {
		o = opLazy
	}
	return b.add(node{op: o, run: r, next: next})
}

// bounds returns how often re.Sub[0] matches; a high of -1 is without limit.
func bounds(re *syntax.Regexp) (low, high int) {
	switch re.Op {
	case syntax.OpStar:
		return 0, -1
	case syntax.OpPlus:
		return 1, -1
	case syntax.OpQuest:
		return 0, 1
	}
	return re.Min, re.Max
}

// nullable reports whether re can match without taking a byte.
func nullable(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCapture, syntax.OpPlus:
		return nullable(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || nullable(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !nullable(sub) {
				return false
			}
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if nullable(sub) {
				return true
			}
		}
		return false
	}
	return true
}
