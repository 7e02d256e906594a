package pattern

// end is the symbol for the end of the text, after the 256 bytes.
const end = 256

// symbols is a set of bytes and of the end of the text: what may come next.
type symbols struct {
	bits [4]uint64
	end  bool
}

func (s *symbols) add(b byte) { s.bits[b>>6] |= 1 << (b & 63) }

func (s *symbols) remove(b byte) { s.bits[b>>6] &^= 1 << (b & 63) }

// addCase adds the bytes with which something can begin that matches the ASCII
// byte b, whatever its case if fold is set.
func (s *symbols) addCase(b byte, fold bool) {
	s.add(b)
	if fold && 'a' <= b && b <= 'z' {
		s.add(b - 'a' + 'A')
		s.addFold(b)
	}
}

// addFold adds the bytes with which letters beyond ASCII begin that equal b but for
// its case: U+017F is an s, U+212A a k.
func (s *symbols) addFold(b byte) {
	switch b {
	case 's':
		s.add("\u017f"[0])
	case 'k':
		s.add("\u212a"[0])
	}
}

// has reports whether a byte, or the end, is in the set.
func (s *symbols) has(symbol int) bool {
	if symbol == end {
		return s.end
	}
	return s.bits[symbol>>6]&(1<<(symbol&63)) != 0
}

// join adds another set and reports whether that changed anything.
func (s *symbols) join(o *symbols) bool {
	was := *s
	for i := range s.bits {
		s.bits[i] |= o.bits[i]
	}
	s.end = s.end || o.end
	return was != *s
}

// meets reports whether the sets have a byte in common.
func (s *symbols) meets(o *symbols) bool {
	for i := range s.bits {
		if s.bits[i]&o.bits[i] != 0 {
			return true
		}
	}
	return false
}

func anything() symbols {
	return symbols{bits: [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}, end: true}
}
