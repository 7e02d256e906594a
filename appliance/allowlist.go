package appliance

import (
	"errors"
	"net/http"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// AllowRequest adds an entry to the allowlist.
type AllowRequest struct {
	Value    string `json:"value"`
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
	p, err := ParsePrefix(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	e := decisions.AllowEntry{Prefix: p, Comment: q.Comment, Author: "operator", Kind: decisions.KindManual,
		Created: time.Now().UTC()}
	if q.Duration != "" {
		d, err := positive(q.Duration)
		if err != nil {
			return nil, badRequest(err)
		}
		e.Until = e.Created.Add(d)
	}
	if err := l.state.allow.Add(e); err != nil {
		return nil, err
	}
	l.state.wall.look()
	return e, nil
}

func deleteAllowed(l *live, r *http.Request) (any, error) {
	if err := only(r, "value"); err != nil {
		return nil, err
	}
	p, err := ParsePrefix(r.FormValue("value"))
	if err != nil {
		return nil, badRequest(err)
	}
	switch err := l.state.allow.Remove(p); {
	case errors.Is(err, decisions.ErrNotAllowed):
		return nil, adminError{http.StatusNotFound, err}
	case errors.Is(err, decisions.ErrBuiltin):
		return nil, adminError{http.StatusConflict, err}
	case err != nil:
		return nil, err
	}
	l.state.wall.look()
	return map[string]string{"deleted": p.String()}, nil
}
