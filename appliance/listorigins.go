package appliance

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
)

// Where a list comes from.
const (
	listImported  = "import"    // an operator
	listFetched   = "url"       // a list of the configuration
	listCommunity = "community" // the Central API's own
	listAccount   = "account"   // one that the account at the Central API is subscribed to
)

// ListSource is where a list comes from, and how fetching it goes.
type ListSource struct {
	From    string    `json:"from"`              // import, url, community or account
	URL     string    `json:"url,omitempty"`     // without credentials and query
	Fetched time.Time `json:"fetched,omitzero"`  // last success, also when nothing had changed
	Next    time.Time `json:"next,omitzero"`     // time of the next try
	Problem string    `json:"problem,omitempty"` // why the last try changed nothing
}

// lists are those in force, and those that should be and could not be fetched.
func (l *live) lists() []ListStatus {
	out := []ListStatus{}
	for _, b := range l.state.book.Lists() {
		s := l.state.listStatus(b)
		s.ListSource = l.listSource(b.Name, b.From)
		out = append(out, s)
	}
	missing := func(name, kind string, from ListSource) {
		if !slices.ContainsFunc(out, func(s ListStatus) bool { return s.Name == name }) {
			out = append(out, ListStatus{Name: name, Type: kind, Scenario: name, Origin: listOrigin + name, ListSource: from})
		}
	}
	for _, f := range l.state.exchange.feeds.Status() {
		missing(f.Name, f.Type, l.listSource(f.Name, ""))
	}
	for _, c := range l.state.exchange.community.Status().Lists {
		missing(c.Name, c.Type, l.listSource(c.Name, ""))
	}
	return out
}

// listSource knows a list by its name, and by the origin of its decisions.
func (l *live) listSource(name, origin string) ListSource {
	x := &l.state.exchange
	for _, f := range x.feeds.Status() {
		if f.Name == name {
			return ListSource{From: listFetched, URL: l.feedURL(name), Fetched: f.Fetched, Next: f.Next, Problem: f.Problem}
		}
	}
	s := x.community.Status()
	if origin == communityOrigin {
		return ListSource{From: listCommunity, URL: s.URL, Fetched: s.LastPull, Next: s.NextPull, Problem: failing(&s)}
	}
	for _, c := range s.Lists {
		if c.Name == name {
			return ListSource{From: listAccount, URL: s.URL, Fetched: c.Fetched, Next: s.NextPull, Problem: c.Problem}
		}
	}
	return ListSource{From: listImported}
}

// communityOrigin is that of the community list's decisions. CrowdSec compatible.
const communityOrigin = "CAPI"

// failing is why nothing comes from the Central API.
func failing(s *community.Status) string {
	if s.Off != "" {
		return s.Off
	}
	if !s.Reachable && !s.Since.IsZero() {
		return s.LastError
	}
	return ""
}

// feedURL is what people may see of the URL of a list.
func (l *live) feedURL(name string) string {
	for _, f := range l.settings.feeds {
		if f.Name != name {
			continue
		}
		u, err := url.Parse(f.URL)
		if err != nil {
			return ""
		}
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		return u.String()
	}
	return ""
}

// Refreshed is a list that was fetched, and what that changed.
type Refreshed struct {
	List    ListStatus `json:"list"`
	Added   int        `json:"added"`
	Removed int        `json:"removed"`
}

// refreshList fetches a list of the configuration now.
func refreshList(l *live, r *http.Request) (any, error) {
	name := r.PathValue("name")
	before, err := l.state.list(name)
	if !slices.ContainsFunc(l.settings.feeds, func(f community.Feed) bool { return f.Name == name }) {
		if err != nil && !strings.HasPrefix(l.listSource(name, "").From, listAccount) {
			return nil, err
		}
		return nil, notFetched(l.listSource(name, originOf(before)))
	}
	ctx, cancel := context.WithTimeout(r.Context(), pullTimeout)
	defer cancel()
	if err := l.state.exchange.feeds.Pull(ctx, name); err != nil {
		return nil, adminError{http.StatusBadGateway, err}
	}
	after, err := l.state.list(name)
	if err != nil {
		return nil, err
	}
	out := Refreshed{List: l.state.listStatus(after), Added: beyond(after, before), Removed: beyond(before, after)}
	out.List.ListSource = l.listSource(name, after.From)
	return out, nil
}

func originOf(b *decisions.Blocklist) string {
	if b == nil {
		return ""
	}
	return b.From
}

// notFetched says what to do about a list that no URL is known of.
func notFetched(s ListSource) error {
	if s.From == listImported {
		return adminError{http.StatusConflict, errors.New("the list was imported, nobody knows where from; use `lists import` again")}
	}
	return adminError{http.StatusConflict, errors.New("the list comes from the Central API; use `capi pull`")}
}
