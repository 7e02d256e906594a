package capitest

import (
	"net/url"
	"slices"
	"strings"
)

// Group are decisions of the community list for one reason; durations are Go text.
type Group struct {
	Scenario  string     `json:"scenario"`
	Scope     string     `json:"scope"`
	Decisions []Decision `json:"decisions"`
}

// Decision is one of a group.
type Decision struct {
	Value    string `json:"value"`
	Duration string `json:"duration"`
}

// Deleted are values that were taken off.
type Deleted struct {
	Scope     string   `json:"scope"`
	Decisions []string `json:"decisions"`
}

// Blocklist is a list that the account is subscribed to.
type Blocklist struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Remediation string `json:"remediation"`
	Scope       string `json:"scope"`
	Duration    string `json:"duration"`
}

// Allowlist is an allowlist of the account.
type Allowlist struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	URL         string `json:"url"`
	Created     string `json:"created_at"`
	Updated     string `json:"updated_at"`
}

// stream is the community list and how it became what it is.
type stream struct {
	groups  []Group
	changes []change
	lists   []Blocklist
	allows  []Allowlist
	noLinks bool
}

// change is a step of the list.
type change struct {
	fresh   []Group
	deleted []Deleted
}

type links struct {
	Blocklists []Blocklist `json:"blocklists,omitempty"`
	Allowlists []Allowlist `json:"allowlists,omitempty"`
}

type streamAnswer struct {
	New     []Group   `json:"new,omitempty"`
	Deleted []Deleted `json:"deleted,omitempty"`
	Links   *links    `json:"links,omitempty"`
}

// SetCommunity makes the list what groups say; pulls that do not begin anew do not
// notice.
func (s *Server) SetCommunity(groups ...Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.groups = groups
}

// Change adds groups and takes values off, and tells those who pulled before.
func (s *Server) Change(fresh []Group, deleted ...Deleted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.changes = append(s.stream.changes, change{fresh, deleted})
	for i := range s.stream.groups {
		g := &s.stream.groups[i]
		g.Decisions = slices.DeleteFunc(slices.Clone(g.Decisions), func(d Decision) bool {
			return slices.ContainsFunc(deleted, func(x Deleted) bool { return slices.Contains(x.Decisions, d.Value) })
		})
	}
	s.stream.groups = append(s.stream.groups, fresh...)
}

// OmitLinks leaves out all that is said about lists, or not.
func (s *Server) OmitLinks(omit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.noLinks = omit
}

// SetBlocklist subscribes to a list of lines, or gives it other ones.
func (s *Server) SetBlocklist(name, remediation, duration string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := blocklistPath + url.PathEscape(name)
	s.files.put(path, strings.Join(append(slices.Clone(lines), ""), "\n"), s.now())
	l := Blocklist{Name: name, URL: strings.TrimSuffix(s.URL, "/") + path, Remediation: remediation, Scope: "ip", Duration: duration}
	i := slices.IndexFunc(s.stream.lists, func(o Blocklist) bool { return o.Name == name })
	if i < 0 {
		s.stream.lists = append(s.stream.lists, l)
		return
	}
	s.stream.lists[i] = l
}

// SetAllowlist makes an allowlist of lines that are JSON objects.
func (s *Server) SetAllowlist(id, name string, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := allowlistPath + url.PathEscape(id)
	s.files.put(path, strings.Join(append(slices.Clone(lines), ""), "\n"), s.now())
	at := s.now().UTC().Format("2006-01-02T15:04:05Z")
	l := Allowlist{ID: id, Name: name, Description: "about " + name, URL: strings.TrimSuffix(s.URL, "/") + path, Created: at, Updated: at}
	i := slices.IndexFunc(s.stream.allows, func(o Allowlist) bool { return o.ID == id })
	if i < 0 {
		s.stream.allows = append(s.stream.allows, l)
		return
	}
	s.stream.allows[i] = l
}

// Unsubscribe takes lists and allowlists of a name from the account.
func (s *Server) Unsubscribe(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.lists = slices.DeleteFunc(s.stream.lists, func(l Blocklist) bool { return l.Name == name })
	s.stream.allows = slices.DeleteFunc(s.stream.allows, func(l Allowlist) bool { return l.Name == name })
}

// answerStream is what a machine gets: all, or what it has not got yet. s.mu is held.
func (s *Server) answerStream(m *machine, startup, community, additional bool) streamAnswer {
	var a streamAnswer
	if community {
		if startup {
			a.New = s.stream.groups
		} else {
			for _, c := range s.stream.changes[m.cursor:] {
				a.New = append(a.New, c.fresh...)
				a.Deleted = append(a.Deleted, c.deleted...)
			}
		}
		m.cursor = len(s.stream.changes)
	}
	if additional && !s.stream.noLinks {
		a.Links = &links{Blocklists: s.stream.lists, Allowlists: s.stream.allows}
	}
	return a
}
