package appliance

import (
	"fmt"
	"time"
)

// APIStatus is how the Local API does.
type APIStatus struct {
	Served       bool      `json:"served"`    // as configured
	Addresses    []string  `json:"addresses"` // of its own
	Problem      string    `json:"problem,omitempty"`
	ProblemSince time.Time `json:"problem_since,omitzero"`
	Bouncers     int       `json:"bouncers"`
	Machines     int       `json:"machines"`
	Unvalidated  int       `json:"machines_unvalidated"`
	Requests     uint64    `json:"requests"`
	Refused      uint64    `json:"refused"` // whose key, token or certificate opened nothing
	Limited      uint64    `json:"limited"` // logins and registrations that came too fast
	Panics       uint64    `json:"panics"`  // lost to a fault of Rampart
}

func (p *api) status() APIStatus {
	calls := p.server.Stats()
	s := APIStatus{Served: p.live() != nil, Addresses: []string{}, Bouncers: len(p.registry.Bouncers()),
		Refused: calls.Refused, Limited: calls.Limited, Panics: calls.Panics}
	for _, r := range calls.Routes {
		s.Requests += r.N
	}
	for _, m := range p.registry.Machines() {
		if s.Machines++; !m.Validated {
			s.Unvalidated++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		for _, a := range p.listener.Addrs() {
			s.Addresses = append(s.Addresses, a.String())
		}
	}
	if p.problem != nil {
		s.Problem, s.ProblemSince = p.problem.Error(), p.since
	}
	return s
}

// problems are what an operator should look at, in words.
func (s APIStatus) problems() []string {
	var out []string
	if s.Problem != "" {
		out = append(out, fmt.Sprintf("the Local API is not open as configured since %s: %s", s.ProblemSince.Local().Format(time.DateTime), s.Problem))
	}
	if s.Unvalidated > 0 {
		out = append(out, fmt.Sprintf("%d agents have registered and wait for somebody to validate them", s.Unvalidated))
	}
	if s.Panics > 0 {
		out = append(out, fmt.Sprintf("%d calls of the Local API were lost to a fault of Rampart; the log has its place: please report it", s.Panics))
	}
	return out
}
