package expression

// Memo keeps what programs found out about an event, for the programs that run on
// it next: texts that several of them ask for, and which of all constant texts
// occur in them. The zero value is ready. It is for one goroutine and for the
// programs of one Env; those of another Env do without it.
//
// A memo holds for one event as it is: call Reset before the next event, and after
// changing this one. Programs that write to the event reset it themselves.
type Memo struct {
	env *Env // whose programs filled it; nil: it is empty
}

// Reset empties m. It keeps its memory.
func (m *Memo) Reset() {
	m.env = nil
}
