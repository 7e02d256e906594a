package firewall

import "iter"

// difference says what leads from one entry to the other; the zero entry
// stands for none. It reports false if there is nothing to do.
func difference(k key, was, is entry, now int64) (change, bool) {
	c := change{key: k, until: is.until, origin: is.origin}
	switch {
	case is.until == 0:
		c.op = opRemove
		return c, was.until > now // else the kernel has dropped it, or is about to
	case was.until == 0:
		c.op = opAdd
	case was.until <= now || was.origin != is.origin:
		c.op = opReplace
	case was.until != is.until:
		c.op = opExtend
	default:
		return c, false
	}
	return c, is.until > now
}

// touched returns what has changed since m.before was set, and clears it.
func (m *mirror) touched(now int64) []change {
	changes := make([]change, 0, len(m.before))
	for k, was := range m.before {
		if c, ok := difference(k, was, m.entries[k], now); ok {
			changes = append(changes, c)
		}
	}
	m.before = nil
	return changes
}

// changesTo tells what leads from m to next. There may be as many as entries, and
// nobody needs all at once.
func (m *mirror) changesTo(next *mirror, now int64) iter.Seq[change] {
	return func(yield func(change) bool) {
		for k, was := range m.entries {
			if _, stays := next.entries[k]; stays {
				continue
			}
			if c, ok := difference(k, was, entry{}, now); ok && !yield(c) {
				return
			}
		}
		for k, is := range next.entries {
			if c, ok := difference(k, m.entries[k], is, now); ok && !yield(c) {
				return
			}
		}
	}
}
