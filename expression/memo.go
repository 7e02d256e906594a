package expression

import "github.com/rampart-edge/rampart/needle"

// Memo keeps what programs found out about an event, for the programs that run on
// it next: texts that several of them ask for, and which of all constant texts
// occur in them. The zero value is ready. It is for one goroutine and for the
// programs of one Env; those of another Env do without it.
//
// A memo holds for one event as it is: call Reset before the next event, and after
// changing this one. Programs that write to the event reset it themselves.
type Memo struct {
	env   *Env    // whose programs filled it; nil: it is empty
	slots []slot  // by number of the source
	used  []int32 // the slots that hold something
}

// slot is what is known of a source.
type slot struct {
	text     string
	found    []uint64 // the clues of its hunt that text has, by number
	known    bool     // text is it
	searched bool     // found is it
	// finder is what found was found with, nil where that is not of text: what is in a
	// text is in it when another event has it, too, as events of the same browser or
	// for the same page do.
	finder *needle.Finder
}

// maxKept bounds the texts that are kept from one event to the next, in bytes.
const maxKept = 1024

// Reset empties m. It keeps its memory, and the texts in which something was looked
// for, in case that the next event has them too.
func (m *Memo) Reset() {
	for _, i := range m.used {
		s := &m.slots[i]
		s.known, s.searched = false, false
		if s.finder == nil || len(s.text) > maxKept {
			s.text, s.finder = "", nil
		}
	}
	m.used, m.env = m.used[:0], nil
}

// forget is Reset where there is a memo.
func (m *Memo) forget() {
	if m != nil {
		m.Reset()
	}
}

// serves reports whether m can be used by programs of e.
func (m *Memo) serves(e *Env) bool {
	if m == nil {
		return false
	}
	if m.env == nil {
		m.env = e
	}
	return m.env == e
}

// text returns the text of a source of m's Env.
func (m *Memo) text(s *source, v *Vars) string {
	if int(s.id) < len(m.slots) && m.slots[s.id].known {
		return m.slots[s.id].text
	}
	text := s.read(v) // which may ask for other sources
	for int(s.id) >= len(m.slots) {
		m.slots = append(m.slots, slot{})
	}
	sl := &m.slots[s.id]
	if sl.text != text {
		sl.text, sl.finder = text, nil
	}
	sl.known = true
	m.used = append(m.used, s.id)
	return text
}

// find returns which clues of a source's hunt its text has, by number. A number
// that is beyond the end belongs to a program that was compiled meanwhile.
func (m *Memo) find(s *source, v *Vars) []uint64 {
	text := m.text(s, v)
	if s.inner != nil && m.text(s.inner, v) == text {
		return m.find(s.inner, v) // there was nothing to decode
	}
	sl := &m.slots[s.id]
	if !sl.searched {
		finder := s.hunt.current(s.env)
		sl.searched = true
		if sl.finder == finder {
			return sl.found
		}
		n := (finder.Groups() + 63) / 64
		if cap(sl.found) < n {
			sl.found = make([]uint64, n)
		}
		sl.found = sl.found[:n]
		clear(sl.found)
		finder.Find(text, sl.found)
		sl.finder = finder
	}
	return sl.found
}
