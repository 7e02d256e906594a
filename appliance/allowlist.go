package appliance

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// AllowRequest adds an entry to an allowlist.
type AllowRequest struct {
	Value    string `json:"value"`              // an address, a network, a host name, or the URL of a list
	List     string `json:"list,omitempty"`     // default: the default one
	Duration string `json:"duration,omitempty"` // default: for ever
	Comment  string `json:"comment,omitempty"`
}

func listAllowed(l *live, _ *http.Request) (any, error) { return orEmpty(l.state.allow.List()), nil }

func addAllowed(l *live, r *http.Request) (any, error) {
	var q AllowRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := text("comment", q.Comment); err != nil {
		return nil, err
	}
	item, p, err := parseAllowed(q.Value)
	if err == nil {
		err = allowsSome(p)
	}
	if err != nil {
		return nil, badRequest(err)
	}
	e := decisions.AllowEntry{Prefix: p, Item: item, List: q.List, Comment: q.Comment, Author: "operator", Kind: decisions.KindManual,
		Created: time.Now().UTC()}
	if e.List == decisions.DefaultAllowList {
		e.List = ""
	}
	if q.Duration != "" {
		d, err := positive(q.Duration)
		if err != nil {
			return nil, badRequest(err)
		}
		e.Until = e.Created.Add(d)
	}
	if err := allowFault(l.state.allow.Add(e)); err != nil {
		return nil, err
	}
	l.state.allowed.look()
	l.state.wall.look()
	return e, nil
}

// parseAllowed reads an item of an allowlist.
func parseAllowed(value string) (item string, p netip.Prefix, err error) {
	if p, err = ParsePrefix(value); err == nil || value == "" {
		return "", p, err
	}
	return decisions.ParseAllowItem(value)
}

// allowFault gives an error of the allowlists its status.
func allowFault(err error) error {
	switch {
	case errors.Is(err, decisions.ErrNotAllowed), errors.Is(err, decisions.ErrNoAllowList):
		return adminError{http.StatusNotFound, err}
	case errors.Is(err, decisions.ErrBuiltin), errors.Is(err, decisions.ErrManaged), errors.Is(err, decisions.ErrAllowListExists):
		return adminError{http.StatusConflict, err}
	}
	return err
}

func deleteAllowed(l *live, r *http.Request) (any, error) {
	item, p, err := parseAllowed(param(r, "value"))
	if err != nil {
		return nil, badRequest(err)
	}
	if item == "" {
		item = p.String()
	}
	if err := allowFault(l.state.allow.RemoveItem(param(r, "list"), item)); err != nil {
		return nil, err
	}
	l.state.wall.look()
	return map[string]string{"deleted": item}, nil
}
