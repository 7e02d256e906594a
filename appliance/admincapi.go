package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/community"
	"github.com/rampart-edge/rampart/decisions"
)

const (
	// capiTimeout bounds a call of the Central API that an operator waits for.
	capiTimeout = time.Minute
	// pullTimeout bounds fetching lists, which may be long.
	pullTimeout = 10 * time.Minute
	// maxPreview bounds the signals that one answer shows.
	maxPreview = 1000
	// mostTags bounds the tags of an enrolment.
	mostTags = 32
)

// errNoCommunity: there is nothing that a command about the Central API could be about.
var errNoCommunity = adminError{http.StatusConflict,
	errors.New("the configuration has no community block; add one, reload, and try again")}

// errNotRegistered is what people read where credentials are missing.
func errNotRegistered(file string) error {
	return adminError{http.StatusConflict, fmt.Errorf("there are no credentials in %s; `capi register` gets some", file)}
}

// CentralStatus is how it goes with the Central API.
type CentralStatus struct {
	Configured  bool   `json:"configured"`            // there is a community block
	Credentials string `json:"credentials,omitempty"` // file
	Registered  bool   `json:"registered"`            // the file has credentials
	// Works: a call of the Central API succeeded just now, or the login of an hour ago at
	// most still holds. Problem is why not.
	Works   bool             `json:"works"`
	Problem string           `json:"problem,omitempty"`
	Status  community.Status `json:"status"`
}

// capiStatus logs in where there are credentials.
func capiStatus(l *live, r *http.Request) (any, error) {
	c := l.settings.config
	out := CentralStatus{Configured: c.Community != nil, Credentials: c.credentials()}
	if out.Configured {
		_, err := community.ReadCredentials(out.Credentials)
		if out.Registered = !errors.Is(err, community.ErrNotRegistered); out.Registered && err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), capiTimeout)
			defer cancel()
			err = l.state.exchange.community.Check(ctx)
		}
		if out.Works = err == nil; err != nil {
			out.Problem = err.Error()
		}
	}
	out.Status = l.state.exchange.community.Status()
	return out, nil
}

// SignalPreview is what is, or would be, told of alerts.
type SignalPreview struct {
	Sharing bool `json:"sharing"` // off: nothing of it is sent
	Waiting int  `json:"waiting"` // of Signals, the first; they are on their way
	// Signals are exactly what is sent.
	Signals []community.Signal `json:"signals"`
}

func previewSignals(l *live, r *http.Request) (any, error) {
	limit, err := limit(r, 20, 1, maxPreview)
	if err != nil {
		return nil, err
	}
	c := l.state.exchange.community
	signals, err := c.Preview(limit)
	if err != nil {
		return nil, err
	}
	s := c.Status()
	return SignalPreview{Sharing: s.Sharing, Waiting: min(s.Queue, len(signals)), Signals: orEmpty(signals)}, nil
}

// Registration is a login that was made.
type Registration struct {
	URL         string `json:"url"`
	Login       string `json:"login"`
	Credentials string `json:"credentials"` // file
}

// registerCentral makes a login and puts it to use.
func registerCentral(l *live, r *http.Request) (any, error) {
	var q struct {
		URL string `json:"url"`
	}
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	c := l.settings.config
	if c.Community == nil {
		return nil, errNoCommunity
	}
	if q.URL == "" {
		q.URL = c.Community.URL
	}
	ctx, cancel := context.WithTimeout(r.Context(), capiTimeout)
	defer cancel()
	login, err := l.state.exchange.community.Register(ctx, q.URL)
	if err != nil {
		return nil, centralError(err)
	}
	return Registration{URL: l.state.exchange.community.Status().URL, Login: login, Credentials: c.credentials()}, nil
}

// centralError is what went wrong with another server: it is not the node that failed.
func centralError(err error) error {
	var status *community.StatusError
	if errors.As(err, &status) && status.Status < http.StatusInternalServerError {
		return adminError{http.StatusBadRequest, err}
	}
	return adminError{http.StatusBadGateway, err}
}

// RegisterCentral makes a login at a Central API ("": CrowdSec's) and writes it to a file
// that must not be there yet. It needs no node.
func RegisterCentral(ctx context.Context, server, file string) (Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, capiTimeout)
	defer cancel()
	c, err := community.Register(ctx, community.Options{Version: version()}, cmp.Or(server, community.VendorURL), file)
	if err != nil {
		return Registration{}, err
	}
	return Registration{URL: c.URL, Login: c.Login, Credentials: file}, nil
}

// Enrolment asks for the node to be shown in the console of an account.
type Enrolment struct {
	Key       string   `json:"key"`
	Name      string   `json:"name,omitempty"` // default: the node's
	Tags      []string `json:"tags,omitempty"`
	Overwrite bool     `json:"overwrite,omitempty"`
}

// Enrolled is what was asked for.
type Enrolled struct {
	URL   string `json:"url"`
	Login string `json:"login"`
	Name  string `json:"name"`
}

func enrollCentral(l *live, r *http.Request) (any, error) {
	var q Enrolment
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if q.Name == "" {
		q.Name = l.engine.Machine
	}
	if len(q.Tags) > mostTags {
		return nil, badRequest(fmt.Errorf("there are %d tags, at most %d are possible", len(q.Tags), mostTags))
	}
	for _, t := range slices.Concat([]string{q.Key, q.Name}, q.Tags) {
		if err := text("a key, name or tag", t); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(q.Key) == "" {
		return nil, badRequest(errors.New("the key is missing; the console of your account shows it"))
	}
	s, err := l.central()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), capiTimeout)
	defer cancel()
	if _, err := l.state.exchange.community.Enroll(ctx, community.Enrolment{Key: q.Key, Name: q.Name, Tags: q.Tags, Overwrite: q.Overwrite}); err != nil {
		return nil, centralError(err)
	}
	return Enrolled{URL: s.URL, Login: s.Login, Name: q.Name}, nil
}

// central is the status of the Central API where there is one to talk to.
func (l *live) central() (community.Status, error) {
	c := l.settings.config
	if c.Community == nil {
		return community.Status{}, errNoCommunity
	}
	if _, err := community.ReadCredentials(c.credentials()); err != nil {
		if errors.Is(err, community.ErrNotRegistered) {
			err = errNotRegistered(c.credentials())
		}
		return community.Status{}, err
	}
	return l.state.exchange.community.Status(), nil
}

// Pulled is what fetching lists changed.
type Pulled struct {
	Lists   []PulledList `json:"lists"`
	Problem string       `json:"problem,omitempty"` // of those that could not be fetched; the others are in force
}

// PulledList is a list before and after.
type PulledList struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
	Ended   bool   `json:"ended"` // it is no longer in force
}

// pullCentral fetches now, whoever of the fleet usually does.
func pullCentral(l *live, r *http.Request) (any, error) {
	if _, err := l.central(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), pullTimeout)
	defer cancel()
	before := l.state.book.Lists()
	err := l.state.exchange.community.Pull(ctx)
	after := l.state.book.Lists()
	out := Pulled{Lists: changedLists(before, after)}
	switch {
	case err != nil && len(out.Lists) == 0:
		return nil, centralError(err)
	case err != nil:
		out.Problem = err.Error()
	}
	return out, nil
}

// changedLists are those that are not as they were.
func changedLists(before, after []*decisions.Blocklist) []PulledList {
	out := []PulledList{}
	find := func(lists []*decisions.Blocklist, name string) *decisions.Blocklist {
		i := slices.IndexFunc(lists, func(l *decisions.Blocklist) bool { return l.Name == name })
		if i < 0 {
			return nil
		}
		return lists[i]
	}
	for _, l := range after {
		old := find(before, l.Name)
		if old == l {
			continue
		}
		p := PulledList{Name: l.Name, Entries: l.Len(), Added: beyond(l, old), Removed: beyond(old, l)}
		if old == nil || p.Added+p.Removed > 0 || !old.Until.Equal(l.Until) {
			out = append(out, p)
		}
	}
	for _, l := range before {
		if find(after, l.Name) == nil {
			out = append(out, PulledList{Name: l.Name, Removed: l.Len(), Ended: true})
		}
	}
	return out
}

// beyond counts the entries of l that other has not; nil has none.
func beyond(l, other *decisions.Blocklist) int {
	switch {
	case l == nil:
		return 0
	case other == nil:
		return l.Len()
	}
	n := 0
	for p := range l.All() {
		if _, ok := other.Index(p); !ok {
			n++
		}
	}
	return n
}
