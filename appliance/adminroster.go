package appliance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/rampart-edge/rampart/localapi"
)

// BouncerStatus is a bouncer that may call the Local API.
type BouncerStatus struct {
	Name        string    `json:"name"`
	IP          string    `json:"ip,omitempty"`      // it is bound to; none before its first call
	Type        string    `json:"type,omitempty"`    // of its User-Agent
	Version     string    `json:"version,omitempty"` // so too
	Auth        string    `json:"auth"`
	AutoCreated bool      `json:"auto_created,omitempty"` // for a further address of a key, or a certificate
	Created     time.Time `json:"created"`
	LastPull    time.Time `json:"last_pull,omitzero"`
}

// MachineStatus is an agent, or a cscli, that may call the Local API.
type MachineStatus struct {
	Name           string    `json:"name"`
	IP             string    `json:"ip,omitempty"`
	Version        string    `json:"version,omitempty"`
	Auth           string    `json:"auth"`
	Validated      bool      `json:"validated"`
	AutoRegistered bool      `json:"auto_registered,omitempty"` // and validated, with the token
	Created        time.Time `json:"created"`
	LastPush       time.Time `json:"last_push,omitzero"`
	LastHeartbeat  time.Time `json:"last_heartbeat,omitzero"`
	Scenarios      []string  `json:"scenarios"` // that its last login told
}

// UsageStatus is what a bouncer or an agent reported of its work.
type UsageStatus struct {
	At       time.Time        `json:"at"`
	OS       string           `json:"os,omitempty"`
	Features []string         `json:"features"`
	Totals   []localapi.Total `json:"totals"` // sums over its reports
	// Dropped counts figures that there was no place for.
	Dropped int64 `json:"dropped,omitempty"`
}

// StreamStatus is how far one kind of User-Agent of a bouncer has been told.
type StreamStatus struct {
	Type string    `json:"type"`
	At   time.Time `json:"at"`
}

// BouncerDetail is a bouncer with what it reported.
type BouncerDetail struct {
	Bouncer BouncerStatus  `json:"bouncer"`
	Streams []StreamStatus `json:"streams"`
	Usage   *UsageStatus   `json:"usage,omitempty"`
}

// MachineDetail is an agent with what it reported.
type MachineDetail struct {
	Machine MachineStatus `json:"machine"`
	Usage   *UsageStatus  `json:"usage,omitempty"`
}

// BouncerRequest adds a bouncer.
type BouncerRequest struct {
	Name string `json:"name"`
	Key  string `json:"key,omitempty"` // default: a new one
}

// BouncerAnswer has the key, which is kept nowhere.
type BouncerAnswer struct {
	Name string `json:"name"`
	Key  string `json:"key"`
	URL  string `json:"url,omitempty"` // of the Local API; none where it has no address of its own
}

// MachineRequest adds an agent.
type MachineRequest struct {
	Name     string `json:"name,omitempty"`     // default: a new one
	Password string `json:"password,omitempty"` // default: a new one
	Force    bool   `json:"force,omitempty"`    // in place of the one of that name
}

// MachineAnswer has the password, which is kept nowhere.
type MachineAnswer struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	URL      string `json:"url,omitempty"` // of the Local API; none where it has no address of its own
}

func bouncerStatus(b *localapi.Bouncer) BouncerStatus {
	return BouncerStatus{Name: b.Name, IP: b.IP, Type: b.Type, Version: b.Version, Auth: b.Auth, AutoCreated: b.AutoCreated,
		Created: b.Created, LastPull: b.LastPull}
}

func machineStatus(m *localapi.Machine) MachineStatus {
	return MachineStatus{Name: m.Name, IP: m.IP, Version: m.Version, Auth: m.Auth, Validated: m.Validated, AutoRegistered: m.Auto,
		Created: m.Created, LastPush: m.LastPush, LastHeartbeat: m.LastHeartbeat, Scenarios: orEmpty(m.Scenarios)}
}

// rosterFault gives an error of the Registry its status.
func rosterFault(err error) error {
	switch {
	case errors.Is(err, localapi.ErrUnknown):
		return adminError{http.StatusNotFound, err}
	case errors.Is(err, localapi.ErrExists), errors.Is(err, localapi.ErrFull):
		return adminError{http.StatusConflict, err}
	case errors.Is(err, localapi.ErrName), errors.Is(err, localapi.ErrPassword):
		return badRequest(err)
	}
	return err
}

func listBouncers(l *live, r *http.Request) (any, error) {
	before, err := past(r, "unused")
	if err != nil {
		return nil, err
	}
	return bouncersOf(l, before), nil
}

// bouncersOf are those without a call since before (zero: all).
func bouncersOf(l *live, before time.Time) []BouncerStatus {
	out := []BouncerStatus{}
	for _, b := range l.state.api.registry.Bouncers() {
		if before.IsZero() || b.Created.Before(before) && b.LastPull.Before(before) {
			out = append(out, bouncerStatus(&b))
		}
	}
	return out
}

func pruneBouncers(l *live, r *http.Request) (any, error) {
	before, err := past(r, "unused")
	if err != nil {
		return nil, err
	}
	if before.IsZero() {
		return nil, badRequest(errors.New("nothing named to delete; give unused, such as unused=30d"))
	}
	all := bouncersOf(l, before)
	gone := l.state.api.registry.PruneBouncers(before)
	return slices.DeleteFunc(all, func(b BouncerStatus) bool { return !slices.Contains(gone, b.Name) }), nil
}

func addBouncer(l *live, r *http.Request) (any, error) {
	var q BouncerRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	key, err := l.state.api.registry.AddBouncer(q.Name, q.Key)
	if err != nil {
		return nil, rosterFault(err)
	}
	return BouncerAnswer{Name: q.Name, Key: key, URL: l.state.api.url()}, nil
}

func (l *live) bouncer(name string) (localapi.Bouncer, error) {
	for _, b := range l.state.api.registry.Bouncers() {
		if b.Name == name {
			return b, nil
		}
	}
	return localapi.Bouncer{}, notFound("there is no bouncer %.80q; `bouncers list` shows those that there are", name)
}

func showBouncer(l *live, r *http.Request) (any, error) {
	b, err := l.bouncer(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	out := BouncerDetail{Bouncer: bouncerStatus(&b), Streams: []StreamStatus{}, Usage: l.usage("bouncer", b.Name)}
	for kind, c := range b.Cursors {
		out.Streams = append(out.Streams, StreamStatus{Type: kind, At: c.At})
	}
	slices.SortFunc(out.Streams, func(x, y StreamStatus) int { return cmp.Compare(x.Type, y.Type) })
	return out, nil
}

func deleteBouncer(l *live, r *http.Request) (any, error) {
	b, err := l.bouncer(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if err := l.state.api.registry.DeleteBouncer(b.Name); err != nil {
		return nil, rosterFault(err)
	}
	return bouncerStatus(&b), nil
}

// machinesWanted reads which agents are meant.
func machinesWanted(l *live, r *http.Request) (ms []MachineStatus, before time.Time, unvalidated bool, err error) {
	if before, err = past(r, "unused"); err != nil {
		return nil, before, false, err
	}
	if unvalidated, err = flag(r, "unvalidated", false); err != nil {
		return nil, before, false, err
	}
	return machinesOf(l, before, unvalidated), before, unvalidated, nil
}

// machinesOf are those without a sign of life since before (zero: all), that nobody has
// validated if unvalidated.
func machinesOf(l *live, before time.Time, unvalidated bool) []MachineStatus {
	out := []MachineStatus{}
	for _, m := range l.state.api.registry.Machines() {
		idle := m.Created.Before(before) && m.LastPush.Before(before) && m.LastHeartbeat.Before(before)
		if (before.IsZero() || idle) && (!unvalidated || !m.Validated) {
			out = append(out, machineStatus(&m))
		}
	}
	return out
}

func listMachines(l *live, r *http.Request) (any, error) {
	ms, _, _, err := machinesWanted(l, r)
	return ms, err
}

func pruneMachines(l *live, r *http.Request) (any, error) {
	all, before, unvalidated, err := machinesWanted(l, r)
	if err != nil {
		return nil, err
	}
	if before.IsZero() {
		return nil, badRequest(errors.New("nothing named to delete; give unused, such as unused=30d"))
	}
	gone := l.state.api.registry.PruneMachines(before, unvalidated)
	return slices.DeleteFunc(all, func(m MachineStatus) bool { return !slices.Contains(gone, m.Name) }), nil
}

func addMachine(l *live, r *http.Request) (any, error) {
	var q MachineRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if q.Name == "" {
		q.Name = localapi.NewMachineID()
	}
	if q.Password == "" {
		q.Password = localapi.NewPassword()
	}
	if err := l.state.api.registry.AddMachine(q.Name, q.Password, q.Force); err != nil {
		return nil, rosterFault(err)
	}
	return MachineAnswer{Name: q.Name, Password: q.Password, URL: l.state.api.url()}, nil
}

func (l *live) machine(name string) (localapi.Machine, error) {
	for _, m := range l.state.api.registry.Machines() {
		if m.Name == name {
			return m, nil
		}
	}
	return localapi.Machine{}, notFound("there is no machine %.80q; `machines list` shows those that there are", name)
}

func showMachine(l *live, r *http.Request) (any, error) {
	m, err := l.machine(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return MachineDetail{Machine: machineStatus(&m), Usage: l.usage("machine", m.Name)}, nil
}

func validateMachine(l *live, r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := rosterFault(l.state.api.registry.ValidateMachine(name)); err != nil {
		return nil, err
	}
	m, err := l.machine(name)
	return machineStatus(&m), err
}

func deleteMachine(l *live, r *http.Request) (any, error) {
	m, err := l.machine(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if err := l.state.api.registry.DeleteMachine(m.Name); err != nil {
		return nil, rosterFault(err)
	}
	return machineStatus(&m), nil
}

// usage is what a caller reported, nil if it reported nothing.
func (l *live) usage(kind, name string) *UsageStatus {
	for _, u := range l.state.api.registry.Usage() {
		if u.Kind != kind || u.Name != name {
			continue
		}
		var report struct {
			OS struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"os"`
			Features []string `json:"feature_flags"`
		}
		_ = json.Unmarshal(u.Element, &report) // what is not there is not shown
		out := &UsageStatus{At: u.At, OS: report.OS.Name, Features: orEmpty(report.Features), Totals: orEmpty(u.Totals), Dropped: u.Dropped}
		if report.OS.Version != "" {
			out.OS += " " + report.OS.Version
		}
		return out
	}
	return nil
}

// url is where programs on this machine reach the Local API, "" where it has no
// address of its own. A socket is its path.
func (p *api) url() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return ""
	}
	scheme := "http"
	if p.open.TLS.Cert != "" {
		scheme = "https"
	}
	for _, a := range p.listener.Addrs() {
		at, ok := a.(*net.TCPAddr)
		if !ok {
			return a.String()
		}
		host := at.IP.String()
		if at.IP.IsUnspecified() {
			host = "127.0.0.1"
		}
		return fmt.Sprintf("%s://%s/", scheme, net.JoinHostPort(host, fmt.Sprint(at.Port)))
	}
	return ""
}
