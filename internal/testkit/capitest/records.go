package capitest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// AddMachine makes a machine that can log in.
func (s *Server) AddMachine(login, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines[login] = &machine{password: password}
}

// Machines are the logins there are, in order.
func (s *Server) Machines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.machines))
}

// Scenarios are those that a machine named at its last login.
func (s *Server) Scenarios(login string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.machines[login]; m != nil {
		return m.scenarios
	}
	return nil
}

// SetTokens makes further tokens good for a length, with claims beside exp.
func (s *Server) SetTokens(lifetime time.Duration, claims map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime, s.claims = lifetime, claims
}

// Revoke makes all tokens worthless.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Requests are those that came, in order, whose paths begin with prefix.
func (s *Server) Requests(prefix string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.requests {
		if strings.HasPrefix(r.Path(), prefix) {
			out = append(out, r)
		}
	}
	return out
}

// Signals are how often each uuid was taken.
func (s *Server) Signals() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.signals)
}

// Metrics are the bodies of metrics, in order.
func (s *Server) Metrics() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.metrics)
}

// Usage are the bodies of usage metrics, in order.
func (s *Server) Usage() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.usage)
}

// Enrolled are the bodies of enrolments, in order.
func (s *Server) Enrolled() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.enrolled)
}
