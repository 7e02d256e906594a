package localapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// machineRow is a Machine in memory. verified is a keyed hash of the password that
// was found right last, so that the next login with it is cheap; it goes with the row.
type machineRow struct {
	Machine
	verified []byte
}

// storedMachine is a machine's row, as it is stored.
type storedMachine struct {
	PasswordHash string    `json:"password_hash,omitempty"`
	Auth         string    `json:"auth"`
	Validated    bool      `json:"validated"`
	Auto         bool      `json:"auto,omitempty"`
	TokenHash    string    `json:"token_hash,omitempty"`
	Created      time.Time `json:"created"`
	Updated      time.Time `json:"updated"`
}

// pushes are the figures of a machine's row, as they are stored.
type pushes struct {
	Row           time.Time `json:"row"`
	IP            string    `json:"ip,omitempty"`
	Version       string    `json:"version,omitempty"`
	LastPush      time.Time `json:"last_push,omitzero"`
	LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
	Scenarios     []string  `json:"scenarios,omitempty"`
}

func (m *machineRow) encode() []byte {
	v, _ := json.Marshal(storedMachine{m.PasswordHash, m.Auth, m.Validated, m.Auto, m.TokenHash, m.Created, m.Updated})
	return v
}

func (m *machineRow) encodePushes() []byte {
	v, _ := json.Marshal(pushes{m.Created, m.IP, m.Version, m.LastPush, m.LastHeartbeat, m.Scenarios})
	return v
}

// keepFigures takes over what an older state of the same row has.
func (m *machineRow) keepFigures(old *machineRow) {
	m.IP, m.Version, m.Scenarios = old.IP, old.Version, old.Scenarios
	m.LastPush, m.LastHeartbeat = old.LastPush, old.LastHeartbeat
}

// lastUsed is when the row was last of use to somebody.
func (m *machineRow) lastUsed() time.Time {
	last := m.Created
	for _, t := range []time.Time{m.LastPush, m.LastHeartbeat} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// takeMachine holds mu.
func (r *Registry) takeMachine(name string, value []byte) error {
	if value == nil {
		r.dropMachine(name)
		return nil
	}
	var s storedMachine
	if err := json.Unmarshal(value, &s); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if err := checkName(name); err != nil {
		return err
	}
	old := r.machines[name]
	if old == nil && len(r.machines) >= maxRows {
		return ErrFull
	}
	m := &machineRow{Machine: Machine{Name: name, PasswordHash: s.PasswordHash, Auth: s.Auth, Validated: s.Validated,
		Auto: s.Auto, TokenHash: s.TokenHash, Created: s.Created, Updated: s.Updated}}
	if old != nil && old.Created.Equal(s.Created) {
		m.keepFigures(old)
	}
	r.dropMachine(name)
	r.insertMachine(m)
	return nil
}

// takePushes holds mu.
func (r *Registry) takePushes(name string, value []byte) error {
	m := r.machines[name]
	if m == nil || value == nil {
		return nil
	}
	var p pushes
	if err := json.Unmarshal(value, &p); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if !p.Row.Equal(m.Created) {
		return nil
	}
	theirs := machineRow{Machine: Machine{Created: p.Row, LastPush: p.LastPush, LastHeartbeat: p.LastHeartbeat}}
	if m.IP == "" || theirs.lastUsed().After(m.lastUsed()) {
		m.IP, m.Version, m.Scenarios = p.IP, p.Version, p.Scenarios
	}
	if p.LastPush.After(m.LastPush) {
		m.LastPush = p.LastPush
	}
	if p.LastHeartbeat.After(m.LastHeartbeat) {
		m.LastHeartbeat = p.LastHeartbeat
	}
	return nil
}

// insertMachine holds mu.
func (r *Registry) insertMachine(m *machineRow) {
	r.machines[m.Name] = m
	if !m.Validated {
		r.waiting++
	}
}

// dropMachine holds mu.
func (r *Registry) dropMachine(name string) {
	m := r.machines[name]
	if m == nil {
		return
	}
	delete(r.machines, name)
	delete(r.dirty, dirt{tablePushes, name})
	if !m.Validated {
		r.waiting--
	}
}

// Machines are all rows, sorted by name.
func (r *Registry) Machines() []Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Machine, 0, len(r.machines))
	for _, m := range r.machines {
		list = append(list, m.Machine)
	}
	slices.SortFunc(list, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// machine is a copy of a row.
func (r *Registry) machine(name string) (Machine, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[name]; m != nil {
		return m.Machine, true
	}
	return Machine{}, false
}

// AddMachine makes a validated row. force replaces one that is there, whose tokens
// are worth nothing from then on. Errors wrap ErrExists, ErrName, ErrFull and
// ErrPassword.
func (r *Registry) AddMachine(name, password string, force bool) error {
	hash, err := hashPassword(password)
	if err != nil {
		return fmt.Errorf("machine %q: %w", name, err)
	}
	now := r.now()
	return r.putMachine(Machine{Name: name, PasswordHash: hash, Auth: AuthPassword, Validated: true, Created: now, Updated: now}, force)
}

// putMachine makes a row as it is. Errors are those of AddMachine.
func (r *Registry) putMachine(m Machine, force bool) error {
	if err := checkName(m.Name); err != nil {
		return fmt.Errorf("machine %w", err)
	}
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.roomForMachine(m, force); err != nil {
		return fmt.Errorf("machine %q %w", m.Name, err)
	}
	return r.storeMachine(m)
}

func (r *Registry) roomForMachine(m Machine, force bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.machines[m.Name] != nil {
		if !force {
			return ErrExists
		}
		return nil
	}
	if len(r.machines) >= maxRows || !m.Validated && r.waiting >= maxUnvalidated {
		return ErrFull
	}
	return nil
}

// storeMachine writes a row, then puts it in the place of the one there was. It holds
// write.
func (r *Registry) storeMachine(m Machine) error {
	row := &machineRow{Machine: m}
	row.Created, row.Updated = m.Created.UTC().Round(0), m.Updated.UTC().Round(0)
	if err := r.store.Put(tableMachines, m.Name, row.encode()); err != nil {
		return fmt.Errorf("writing machine %q: %w", m.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.machines[m.Name]; old != nil && old.Created.Equal(row.Created) {
		row.keepFigures(old)
	}
	r.dropMachine(m.Name)
	r.insertMachine(row)
	r.dirty[dirt{tablePushes, m.Name}] = struct{}{}
	return nil
}

// ValidateMachine lets a machine that registered log in. Errors wrap ErrUnknown.
func (r *Registry) ValidateMachine(name string) error {
	return r.changeMachine(name, func(m *Machine) error {
		m.Validated = true
		return nil
	})
}

// changeMachine changes what a row says of itself, and keeps its figures.
func (r *Registry) changeMachine(name string, change func(*Machine) error) error {
	r.write.Lock()
	defer r.write.Unlock()
	m, ok := r.machine(name)
	if !ok {
		return fmt.Errorf("machine %q %w", name, ErrUnknown)
	}
	if err := change(&m); err != nil {
		return err
	}
	m.Updated = r.now()
	return r.storeMachine(m)
}

// DeleteMachine removes a row; its tokens are worth nothing from then on. The row of
// a certificate comes back with its next login. Errors wrap ErrUnknown.
func (r *Registry) DeleteMachine(name string) error {
	r.write.Lock()
	defer r.write.Unlock()
	if _, ok := r.machine(name); !ok {
		return fmt.Errorf("machine %q %w", name, ErrUnknown)
	}
	if err := r.store.Delete(tableMachines, name); err != nil {
		return fmt.Errorf("deleting machine %q: %w", name, err)
	}
	r.mu.Lock()
	r.dropMachine(name)
	r.dropUsage(kindMachine, name)
	r.mu.Unlock()
	return r.forget(name, dirt{tablePushes, name}, dirt{tableUsage, usageKey(kindMachine, name)})
}

// PruneMachines removes the rows that were not used since before, of those that were
// never validated only, if unvalidated is set, and tells their names.
func (r *Registry) PruneMachines(before time.Time, unvalidated bool) []string {
	return r.pruneMachines(func(m *machineRow) bool {
		return m.lastUsed().Before(before) && (!unvalidated || !m.Validated)
	})
}

func (r *Registry) pruneMachines(stale func(*machineRow) bool) []string {
	r.mu.Lock()
	var names []string
	for name, m := range r.machines {
		if stale(m) {
			names = append(names, name)
		}
	}
	r.mu.Unlock()
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		err := r.DeleteMachine(name)
		if err != nil && !isUnknown(err) {
			r.logger.Warn("an idle machine cannot be removed", zap.String("machine", name), zap.Error(err))
		}
		return err != nil && !isUnknown(err)
	})
}

// pushed notes that a machine sent alerts.
func (r *Registry) pushed(name string) {
	r.touchMachine(name, func(m *machineRow, now time.Time) { m.LastPush = now })
}

func (r *Registry) touchMachine(name string, touch func(m *machineRow, now time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[name]; m != nil {
		touch(m, r.now().UTC().Round(0))
		r.dirty[dirt{tablePushes, name}] = struct{}{}
	}
}

func isUnknown(err error) bool { return errors.Is(err, ErrUnknown) }
