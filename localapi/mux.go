package localapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// invalidEndpoint is what requests outside all patterns are counted as.
// CrowdSec compatible.
const invalidEndpoint = "invalid-endpoint"

// mux finds the route of a request. Patterns are few and short: they are in lists by
// their number of segments, those without variables first.
type mux struct {
	fixed    map[string]*branch
	variable map[int][]*branch // by number of segments
}

// branch is a pattern and its methods.
type branch struct {
	pattern  string
	segments []string
	methods  []string // in the order in which Allow tells them
	routes   map[string]*route
}

func newMux(routes []route) *mux {
	m := &mux{fixed: map[string]*branch{}, variable: map[int][]*branch{}}
	all := map[string]*branch{}
	for i := range routes {
		r := &routes[i]
		b := all[r.pattern]
		if b == nil {
			b = &branch{pattern: r.pattern, segments: strings.Split(r.pattern, "/"), routes: map[string]*route{}}
			all[r.pattern] = b
			if strings.Contains(r.pattern, "/:") {
				n := len(b.segments)
				m.variable[n] = append(m.variable[n], b)
			} else {
				m.fixed[r.pattern] = b
			}
		}
		b.routes[r.method] = r
	}
	for _, b := range all {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if b.routes[method] != nil {
				b.methods = append(b.methods, method)
			}
		}
	}
	return m
}

// match finds the branch of an escaped path and what its variables are, still
// escaped.
func (m *mux) match(path string) (*branch, []string) {
	if b := m.fixed[path]; b != nil {
		return b, nil
	}
	segments := strings.Split(path, "/")
	for _, b := range m.variable[len(segments)] {
		if params, ok := b.bind(segments); ok {
			return b, params
		}
	}
	return nil, nil
}

func (b *branch) bind(segments []string) (params []string, ok bool) {
	for i, want := range b.segments {
		switch {
		case strings.HasPrefix(want, ":") && segments[i] != "":
			params = append(params, segments[i])
		case want != segments[i]:
			return nil, false
		}
	}
	return params, true
}

// find gives the route of r and its variables, unescaped: an escaped slash is part
// of a variable. Without one it has answered.
// CrowdSec compatible: 404 and 405 without a body, one slash too many is a redirect.
func (m *mux) find(w http.ResponseWriter, r *http.Request) (*route, []string) {
	path := r.URL.EscapedPath()
	b, params := m.match(path)
	if b == nil {
		if shorter, slash := strings.CutSuffix(path, "/"); slash {
			if b, _ := m.match(shorter); b != nil && b.routes[r.Method] != nil {
				redirect(w, r, shorter)
				return nil, nil
			}
		}
		w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	found := b.routes[r.Method]
	if found == nil {
		w.Header().Set("Allow", strings.Join(b.methods, ", "))
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil, nil
	}
	params = slices.Clone(params)
	for i, p := range params {
		plain, err := url.PathUnescape(p)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return nil, nil
		}
		params[i] = plain
	}
	return found, params
}

// redirect sends a client to a known path. The path is one that match knows, so it
// leads nowhere else.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusTemporaryRedirect // keeps method and body
	}
	http.Redirect(w, r, path, status)
}
