package capitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxSignals is how many signals a request may have.
const maxSignals = 50

// route answers a request; s.mu is held.
func (s *Server) route(a *answer, r *http.Request, body []byte) {
	path := r.URL.Path
	if r.Method == http.MethodGet && (strings.HasPrefix(path, blocklistPath) || strings.HasPrefix(path, allowlistPath)) {
		s.files.serve(a, r)
		return
	}
	switch r.Method + " " + path {
	case "POST /v3/watchers":
		s.register(a, body, false)
		return
	case "POST /v3/watchers/reset":
		s.register(a, body, true)
		return
	case "POST /v3/watchers/login":
		s.login(a, body)
		return
	}
	m := s.authenticated(r)
	if m == nil {
		a.fail(http.StatusUnauthorized, "token is not valid")
		return
	}
	switch r.Method + " " + path {
	case "POST /v3/watchers/enroll":
		s.keep(a, body, &s.enrolled, "name")
	case "GET /v3/decisions/stream":
		q := r.URL.Query()
		a.json(http.StatusOK, s.answerStream(m, q.Get("startup") == "true", q.Get("community_pull") != "false", q.Get("additional_pull") != "false"))
	case "POST /v3/signals":
		s.takeSignals(a, body)
	case "POST /v3/metrics/":
		s.keep(a, body, &s.metrics, "bouncers", "machines", "apil_version")
	case "POST /v3/usage-metrics":
		s.keep(a, body, &s.usage)
	case "POST /v3/decisions/delete":
		a.ok()
	default:
		a.fail(http.StatusNotFound, "no such endpoint")
	}
}

// authenticated returns who the token is of, nil for nobody.
func (s *Server) authenticated(r *http.Request) *machine {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	name := s.tokens[token]
	if !ok || name == "" || !strings.HasPrefix(r.UserAgent(), "crowdsec/") || strings.Count(r.UserAgent(), "/") != 1 {
		return nil
	}
	return s.machines[name]
}

// register makes a machine, or gives it a new password.
func (s *Server) register(a *answer, body []byte, again bool) {
	var q struct {
		Machine  string `json:"machine_id"`
		Password string `json:"password"`
	}
	if err := json.Unmarshal(body, &q); err != nil || len(q.Machine) != 48 || q.Password == "" {
		a.fail(http.StatusUnprocessableEntity, "machine_id or password is not as expected")
		return
	}
	m := s.machines[q.Machine]
	if (m != nil) != again {
		a.fail(http.StatusForbidden, fmt.Sprintf("user %q: already there, or not", q.Machine))
		return
	}
	if m == nil {
		m = &machine{}
		s.machines[q.Machine] = m
	}
	m.password = q.Password
	a.ok()
}

func (s *Server) login(a *answer, body []byte) {
	var q struct {
		Machine   string    `json:"machine_id"`
		Password  string    `json:"password"`
		Scenarios *[]string `json:"scenarios"`
	}
	if err := json.Unmarshal(body, &q); err != nil || q.Scenarios == nil {
		a.fail(http.StatusUnprocessableEntity, "scenarios are missing")
		return
	}
	m := s.machines[q.Machine]
	if m == nil || m.password != q.Password {
		a.fail(http.StatusForbidden, "incorrect login or password")
		return
	}
	m.scenarios = *q.Scenarios
	token, until := s.issue(q.Machine)
	a.json(http.StatusOK, map[string]any{"code": http.StatusOK, "expire": until.UTC().Format("2006-01-02T15:04:05Z07:00"), "token": token})
}

// takeSignals counts signals by uuid. All are taken, or none.
func (s *Server) takeSignals(a *answer, body []byte) {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		a.fail(http.StatusBadRequest, err.Error())
		return
	}
	if len(list) > maxSignals {
		a.fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("%d signals", len(list)))
		return
	}
	var uuids []string
	for _, signal := range list {
		for _, key := range []string{"message", "scenario", "scenario_hash", "scenario_version", "source", "start_at", "stop_at", "uuid"} {
			if string(signal[key]) == "" || string(signal[key]) == "null" {
				a.fail(http.StatusUnprocessableEntity, key+" is missing")
				return
			}
		}
		if string(signal["scenario"]) == `"bad"` {
			a.fail(http.StatusUnprocessableEntity, "a bad scenario")
			return
		}
		if signal["events"] != nil {
			a.fail(http.StatusUnprocessableEntity, "events are not to be sent")
			return
		}
		var uuid string
		_ = json.Unmarshal(signal["uuid"], &uuid)
		uuids = append(uuids, uuid)
	}
	for _, uuid := range uuids {
		s.signals[uuid]++
	}
	a.ok()
}

// keep writes down a body that must have some keys.
func (s *Server) keep(a *answer, body []byte, to *[]json.RawMessage, keys ...string) {
	var q map[string]json.RawMessage
	if err := json.Unmarshal(body, &q); err != nil {
		a.fail(http.StatusBadRequest, err.Error())
		return
	}
	for _, key := range keys {
		if q[key] == nil {
			a.fail(http.StatusUnprocessableEntity, key+" is missing")
			return
		}
	}
	*to = append(*to, body)
	a.ok()
}
