package expression

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
}

// Reset empties m. It keeps its memory, but nothing of the event.
func (m *Memo) Reset() {
	for _, i := range m.used {
		m.slots[i].text, m.slots[i].known, m.slots[i].searched = "", false, false
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
	m.slots[s.id].text, m.slots[s.id].known = text, true
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
		n := (finder.Groups() + 63) / 64
		if cap(sl.found) < n {
			sl.found = make([]uint64, n)
		}
		sl.found = sl.found[:n]
		clear(sl.found)
		finder.Find(text, sl.found)
		sl.searched = true
	}
	return sl.found
}
