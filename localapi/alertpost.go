package localapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// maxComplaints is how many bad alerts of one request are logged; the others are
// counted with them.
const maxComplaints = 5

// postAlerts takes alerts from agents and people. It answers, once they are on disk,
// with the ids of those that were recorded.
//
// CrowdSec compatible: ids are texts; an alert without decisions about an allowed
// source is taken and not recorded, and so is one whose decisions are all against
// what is no address. Unlike there a bad alert does not keep the others of its batch
// from being recorded, since agents send a batch again until it is taken; a request
// with nothing but bad ones is refused.
func (c *call) postAlerts() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if err := checkArray(body); err != nil {
		return err
	}
	p := post{call: c, ids: []byte("[")}
	if err := p.read(body); err != nil {
		return err
	}
	c.s.o.Registry.pushed(c.machine.Name)
	if p.taken == 0 && len(p.bad) > 0 {
		return fail(http.StatusBadRequest, "%v", p.bad[0])
	}
	if p.refused > 0 {
		c.s.o.Logger.Warn("alerts that make no sense were left out", zap.String("machine", c.machine.Name), zap.Int("alerts", p.refused), zap.Errors("errors", p.bad))
	}
	if p.recorded > 0 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return c.raw(http.StatusCreated, append(p.ids, ']'))
}

// checkArray makes sure that all of body is one JSON array, before anything of it is
// done.
func checkArray(body []byte) error {
	text := bytes.TrimLeft(body, " \t\r\n")
	if !json.Valid(text) {
		var nothing any
		return fail(http.StatusBadRequest, "%v", jsonError(json.Unmarshal(body, &nothing)))
	}
	if text[0] != '[' {
		return fail(http.StatusBadRequest, "expected a list of alerts")
	}
	return nil
}

// post is a request with alerts in the making.
type post struct {
	*call
	ids                      []byte
	taken, recorded, refused int
	bad                      []error // the first of those refused
}

// read takes the alerts of body, which is a list, one after the other.
func (p *post) read(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return err
	}
	for i := 0; d.More(); i++ {
		var in *alertInput
		err := d.Decode(&in)
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &kind):
			p.refuse(fmt.Errorf("alert %d: %w", i, err))
			continue
		case err != nil:
			return fail(http.StatusBadRequest, "%v", err)
		}
		if err := p.take(i, in); err != nil {
			return err
		}
	}
	return nil
}

func (p *post) refuse(err error) {
	if p.refused++; len(p.bad) < maxComplaints {
		p.bad = append(p.bad, errors.New(cut(err.Error(), maxMessage))) // it may quote what was sent
	}
}

// take records one alert, or refuses it. An error is of the book's.
func (p *post) take(i int, in *alertInput) error {
	if err := in.check(i); err != nil {
		p.refuse(err)
		return nil
	}
	a := in.alert(p.machine.Name, p.now)
	ds, err := in.decisions(a, p.now)
	if err != nil {
		p.refuse(fmt.Errorf("alert %d: %w", i, err))
		return nil
	}
	p.taken++
	given := len(in.Decisions) > 0
	switch {
	case given && len(ds.good) == 0 && ds.over == 0:
		return nil // all against what is no address
	case !given && p.allowed(a.Source):
		return nil
	}
	for j := range ds.good {
		d := &ds.good[j]
		a.Decisions = append(a.Decisions, event.AlertDecision{
			Type: d.Type, Scope: d.Scope, Value: d.Value, Origin: d.Origin, Scenario: d.Scenario,
			Duration: d.Until.Sub(p.now).String(), Simulated: d.Simulated,
		})
	}
	judged, err := p.s.o.Judge(a, p.now)
	if err != nil {
		p.s.o.Logger.Warn("profiles have a fault", zap.String("scenario", a.Scenario), zap.Error(err))
	}
	if !given {
		ds.good = judged.Decisions
	}
	return p.record(a, ds.good, judged.Matched)
}

// allowed reports whether an allowlist has to do with a source.
func (p *post) allowed(s *event.Source) bool {
	if s.Scope != decisions.ScopeIP && s.Scope != decisions.ScopeRange {
		return false
	}
	prefix, err := parsePrefix(s.Value)
	if err != nil {
		return false
	}
	for _, r := range p.s.o.Book.Allow().Reasons(prefix) {
		if !r.Builtin {
			return true
		}
	}
	return false
}

// record writes an alert down and tells of it.
func (p *post) record(a *event.Alert, ds []decisions.Decision, matched []decisions.Match) error {
	err := p.s.o.Record(a, ds)
	switch {
	case a.ID == 0 && err == nil:
		err = errors.New("it has no id")
		fallthrough
	case a.ID == 0:
		return fmt.Errorf("recording the alert: %w", err)
	case err != nil: // some of its decisions could not be
		p.s.o.Logger.Info("decisions were left out", zap.Int64("alert", a.ID), zap.String("machine", a.MachineID), zap.Error(err))
	}
	if p.recorded++; p.recorded > 1 {
		p.ids = append(p.ids, ',')
	}
	p.ids = append(strconv.AppendInt(append(p.ids, '"'), a.ID, 10), '"')
	made := ds[:0:0]
	for i := range ds {
		if ds[i].ID != 0 {
			made = append(made, ds[i])
		}
	}
	p.s.o.Recorded(a, made, matched)
	return nil
}
