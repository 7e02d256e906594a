package parsers

import "github.com/rampart-edge/rampart/expression"

// stash remembers a value of this event for expressions about later ones
// (GetFromStash). The memory itself belongs to the expression.Env.
type stash struct {
	name       string
	key, value *expression.Program
	env        *expression.Env
}

// store evaluates key and value; where one gives no text, nothing is stored.
func (s *stash) store(r *run) {
	key, err := s.key.String(&r.vars)
	if err != nil {
		r.debug("stash key failed", s.name, err)
		return
	}
	value, err := s.value.String(&r.vars)
	if err != nil {
		r.debug("stash value failed", s.name, err)
		return
	}
	s.env.StashPut(s.name, key, value)
}
