package localapi

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// maxTargets bounds what one request may ask of the allowlists.
const maxTargets = 100_000

// allowTime is how times of allowlists are written. CrowdSec compatible: milliseconds,
// and the year 1 for never.
const allowTime = "2006-01-02T15:04:05.000Z"

// allowlistRoutes are those of allowlists.
func allowlistRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/allowlists", machine, 0, (*call).getAllowlists},
		{http.MethodHead, "/v1/allowlists", machine, 0, (*call).headOK},
		{http.MethodGet, "/v1/allowlists/:allowlist_name", machine, 0, (*call).getAllowlist},
		{http.MethodHead, "/v1/allowlists/:allowlist_name", machine, 0, (*call).getAllowlist},
		{http.MethodGet, "/v1/allowlists/check/:ip_or_range", machine, 0, (*call).checkAllowlists},
		{http.MethodHead, "/v1/allowlists/check/:ip_or_range", machine, 0, (*call).checkAllowlists},
		{http.MethodPost, "/v1/allowlists/check", machine, maxBody, (*call).checkMany},
	}
}

// getAllowlists answers with all allowlists. An empty default one nobody asked for.
func (c *call) getAllowlists() error {
	out := newOutput(c)
	for _, l := range c.s.o.Book.Allow().Lists() {
		if l.Name == decisions.DefaultAllowList && len(l.Items) == 0 && l.Updated.IsZero() {
			continue
		}
		out.open("[", ",")
		out.buf = appendAllowlist(out.buf, &l, c.withContent())
		if err := out.spill(); err != nil {
			return err
		}
	}
	return out.close("]", "[]")
}

func (c *call) withContent() bool { return c.r.URL.Query().Get("with_content") == "true" }

// getAllowlist answers with one allowlist.
func (c *call) getAllowlist() error {
	name := c.param("allowlist_name")
	for _, l := range c.s.o.Book.Allow().Lists() {
		if l.Name != name {
			continue
		}
		if c.r.Method == http.MethodHead {
			return c.head(http.StatusOK)
		}
		return c.raw(http.StatusOK, appendAllowlist(nil, &l, c.withContent()))
	}
	return fail(http.StatusNotFound, "allowlist '%.100s' not found", name) // CrowdSec compatible: the words
}

// appendAllowlist writes a list, with its items if they are wanted.
func appendAllowlist(dst []byte, l *decisions.AllowList, content bool) []byte {
	dst = append(dst, '{')
	if l.Managed {
		dst = append(dst, `"console_managed":true,`...)
	}
	dst = appendTime(append(dst, `"created_at":`...), l.Created)
	dst = appendMaybe(dst, "description", l.Description)
	dst = append(dst, `,"items":[`...)
	for i := range l.Items {
		if !content {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		e := &l.Items[i]
		dst = appendTime(append(dst, `{"created_at":`...), e.Created)
		dst = appendMaybe(dst, "description", e.Comment)
		dst = appendTime(append(dst, `,"expiration":`...), e.Until)
		dst = append(appendString(append(dst, `,"value":`...), e.Text()), '}')
	}
	updated := l.Updated
	if updated.IsZero() {
		updated = l.Created
	}
	dst = appendString(append(dst, `],"name":`...), l.Name)
	return append(appendTime(append(dst, `,"updated_at":`...), updated), '}')
}

func appendTime(dst []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(dst, '"'), allowTime), '"')
}

// checkAllowlists answers whether an address or a range is allowlisted, and why.
//
// CrowdSec compatible: HEAD tells by its status alone.
func (c *call) checkAllowlists() error {
	p, err := parsePrefix(c.param("ip_or_range"))
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	reasons := c.s.allowReasons(p)
	if c.r.Method == http.MethodHead {
		if len(reasons) > 0 {
			return c.head(http.StatusOK)
		}
		return c.empty(http.StatusNoContent)
	}
	if len(reasons) == 0 {
		return c.raw(http.StatusOK, []byte("{}"))
	}
	return c.json(http.StatusOK, struct {
		Allowlisted bool   `json:"allowlisted"`
		Reason      string `json:"reason"`
	}{true, strings.Join(reasons, ", ")})
}

// allowReasons are the items that have to do with p, as people read them.
func (s *Server) allowReasons(p netip.Prefix) []string {
	var out []string
	for _, r := range s.o.Book.Allow().Reasons(p) {
		text := r.Item + " from " + r.List
		if r.Comment != "" {
			text += " (" + r.Comment + ")"
		}
		out = append(out, text)
	}
	return out
}

// checkMany answers which of many addresses and ranges are allowlisted.
func (c *call) checkMany() error {
	var in struct {
		Targets []string `json:"targets"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch n := len(in.Targets); {
	case n == 0:
		return fail(http.StatusBadRequest, "targets list cannot be empty")
	case n > maxTargets:
		return fail(http.StatusBadRequest, "%d targets, at most %d fit", n, maxTargets)
	}
	type result struct {
		Allowlists []string `json:"allowlists"`
		Target     string   `json:"target"`
	}
	out := struct {
		Results []result `json:"results"`
	}{[]result{}}
	for i, text := range in.Targets {
		p, err := parsePrefix(text)
		if err != nil {
			return fail(http.StatusBadRequest, "target %s: %v", strconv.Itoa(i), err)
		}
		if reasons := c.s.allowReasons(p); len(reasons) > 0 {
			out.Results = append(out.Results, result{reasons, text})
		}
	}
	return c.json(http.StatusOK, out)
}
