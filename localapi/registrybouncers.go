package localapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// maxFurther bounds the rows that one key, or one certificate's name, gets for
// addresses. The idlest goes for a new one.
const maxFurther = 256

// bouncerRow is a Bouncer in memory.
type bouncerRow struct{ Bouncer }

// pulls are the figures of a bouncer's row, as they are stored.
type pulls struct {
	Row      time.Time         `json:"row"` // when the row was made: figures of an earlier one do not count
	IP       string            `json:"ip,omitempty"`
	Type     string            `json:"type,omitempty"`
	Version  string            `json:"version,omitempty"`
	LastPull time.Time         `json:"last_pull,omitzero"`
	Cursors  map[string]Cursor `json:"cursors,omitempty"`
}

// storedBouncer is a bouncer's row, as it is stored.
type storedBouncer struct {
	Base        string    `json:"base,omitempty"`
	KeyHash     string    `json:"key_hash,omitempty"`
	Auth        string    `json:"auth"`
	AutoCreated bool      `json:"auto_created,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

func (b *bouncerRow) encode() []byte {
	v, _ := json.Marshal(storedBouncer{b.Base, b.KeyHash, b.Auth, b.AutoCreated, b.Created, b.Updated})
	return v
}

func (b *bouncerRow) encodePulls() []byte {
	v, _ := json.Marshal(pulls{b.Created, b.IP, b.Type, b.Version, b.LastPull, b.Cursors})
	return v
}

// group is what rows for addresses are counted under.
func (b *Bouncer) group() string { return b.Auth + "\x00" + b.Base }

// lastUsed is when the row was last of use to somebody.
func (b *bouncerRow) lastUsed() time.Time {
	if b.LastPull.After(b.Created) {
		return b.LastPull
	}
	return b.Created
}

// takeBouncer holds mu.
func (r *Registry) takeBouncer(name string, value []byte) error {
	if value == nil {
		r.dropBouncer(name)
		return nil
	}
	var s storedBouncer
	if err := json.Unmarshal(value, &s); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if err := checkName(name); err != nil {
		return err
	}
	old := r.bouncers[name]
	if old == nil && len(r.bouncers) >= maxRows {
		return ErrFull
	}
	if s.KeyHash != "" && r.keys[s.KeyHash] != nil && r.keys[s.KeyHash] != old {
		return fmt.Errorf("its key is that of %s", r.keys[s.KeyHash].Name)
	}
	b := &bouncerRow{Bouncer{Name: name, Base: s.Base, KeyHash: s.KeyHash, Auth: s.Auth, AutoCreated: s.AutoCreated,
		Created: s.Created, Updated: s.Updated}}
	if old != nil && old.Created.Equal(s.Created) {
		b.IP, b.Type, b.Version, b.LastPull, b.Cursors = old.IP, old.Type, old.Version, old.LastPull, old.Cursors
	}
	r.dropBouncer(name)
	r.insertBouncer(b)
	return nil
}

// takePulls merges figures that another node wrote with those that this one has:
// each cursor is the later one. It holds mu.
func (r *Registry) takePulls(name string, value []byte) error {
	b := r.bouncers[name]
	if b == nil || value == nil {
		return nil
	}
	var p pulls
	if err := json.Unmarshal(value, &p); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if !p.Row.Equal(b.Created) {
		return nil
	}
	if b.IP == "" {
		b.IP = p.IP
	}
	if b.Type == "" || p.LastPull.After(b.LastPull) {
		b.Type, b.Version = p.Type, p.Version
	}
	if p.LastPull.After(b.LastPull) {
		b.LastPull = p.LastPull
	}
	for typ, c := range p.Cursors {
		if mine, ok := b.Cursors[typ]; !ok || c.At.After(mine.At) {
			b.setCursor(typ, c)
		}
	}
	return nil
}

// setCursor replaces the map, since copies of the row share it.
func (b *bouncerRow) setCursor(typ string, c Cursor) {
	next := maps.Clone(b.Cursors)
	if next == nil {
		next = map[string]Cursor{}
	}
	if _, ok := next[typ]; !ok && len(next) >= maxCursors {
		delete(next, slices.MinFunc(slices.Collect(maps.Keys(next)), func(x, y string) int { return next[x].At.Compare(next[y].At) }))
	}
	next[typ] = c
	b.Cursors = next
}

// insertBouncer holds mu.
func (r *Registry) insertBouncer(b *bouncerRow) {
	r.bouncers[b.Name] = b
	if b.KeyHash != "" {
		r.keys[b.KeyHash] = b
	}
	if b.Base != "" {
		g := b.group()
		if r.further[g] == nil {
			r.further[g] = map[string]*bouncerRow{}
		}
		r.further[g][b.Name] = b
	}
}

// dropBouncer holds mu.
func (r *Registry) dropBouncer(name string) {
	b := r.bouncers[name]
	if b == nil {
		return
	}
	delete(r.bouncers, name)
	if r.keys[b.KeyHash] == b {
		delete(r.keys, b.KeyHash)
	}
	if g := b.group(); b.Base != "" {
		if delete(r.further[g], name); len(r.further[g]) == 0 {
			delete(r.further, g)
		}
	}
	delete(r.dirty, dirt{tablePulls, name})
}

// Bouncers are all rows, sorted by name.
func (r *Registry) Bouncers() []Bouncer {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Bouncer, 0, len(r.bouncers))
	for _, b := range r.bouncers {
		list = append(list, b.Bouncer)
	}
	slices.SortFunc(list, func(a, b Bouncer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AddBouncer makes a row and returns its key, which is kept nowhere: key if one is
// given, else a new one of 43 characters. Errors wrap ErrExists (the name, or the
// key), ErrName and ErrFull.
func (r *Registry) AddBouncer(name, key string) (plain string, err error) {
	if key == "" {
		key = newKey()
	}
	now := r.now()
	return key, r.putBouncer(Bouncer{Name: name, KeyHash: hashKey(key), Auth: AuthKey, Created: now, Updated: now})
}

// putBouncer makes a row as it is. Errors are those of AddBouncer.
func (r *Registry) putBouncer(b Bouncer) error {
	if err := checkName(b.Name); err != nil {
		return fmt.Errorf("bouncer %w", err)
	}
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.roomForBouncer(b); err != nil {
		return fmt.Errorf("bouncer %q %w", b.Name, err)
	}
	row := &bouncerRow{b}
	row.Created, row.Updated = b.Created.UTC().Round(0), b.Updated.UTC().Round(0)
	if err := r.store.Put(tableBouncers, b.Name, row.encode()); err != nil {
		return fmt.Errorf("writing bouncer %q: %w", b.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.insertBouncer(row)
	r.dirty[dirt{tablePulls, b.Name}] = struct{}{}
	return nil
}

func (r *Registry) roomForBouncer(b Bouncer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.bouncers[b.Name] != nil:
		return ErrExists
	case b.KeyHash != "" && r.keys[b.KeyHash] != nil:
		return fmt.Errorf("with this key %w, as %s", ErrExists, r.keys[b.KeyHash].Name)
	case len(r.bouncers) >= maxRows:
		return ErrFull
	}
	return nil
}

// DeleteBouncer removes a row, and with the row of a key those made for further
// addresses. From then on the key opens nothing. A row for an address, or of a
// certificate, comes back with its next call. Errors wrap ErrUnknown.
func (r *Registry) DeleteBouncer(name string) error {
	r.write.Lock()
	defer r.write.Unlock()
	names := r.withFurther(name)
	if names == nil {
		return fmt.Errorf("bouncer %q %w", name, ErrUnknown)
	}
	for _, n := range names {
		if err := r.removeBouncer(n); err != nil {
			return err
		}
	}
	return nil
}

// withFurther are the names of a row and those that live by its key, nil if there is
// no such row.
func (r *Registry) withFurther(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bouncers[name]
	if b == nil {
		return nil
	}
	names := []string{name}
	if b.KeyHash != "" {
		names = slices.AppendSeq(names, maps.Keys(r.further[AuthKey+"\x00"+name]))
	}
	return names
}

// removeBouncer holds write.
func (r *Registry) removeBouncer(name string) error {
	if err := r.store.Delete(tableBouncers, name); err != nil {
		return fmt.Errorf("deleting bouncer %q: %w", name, err)
	}
	r.mu.Lock()
	r.dropBouncer(name)
	r.dropUsage(kindBouncer, name)
	r.mu.Unlock()
	return r.forget(name, dirt{tablePulls, name}, dirt{tableUsage, usageKey(kindBouncer, name)})
}

func (r *Registry) forget(name string, ds ...dirt) error {
	for _, d := range ds {
		if err := r.store.Delete(d.table, d.key); err != nil {
			return fmt.Errorf("deleting figures of %q: %w", name, err)
		}
	}
	return nil
}

// PruneBouncers removes the rows that were not used since before, and tells their
// names. A row that was never used counts from when it was made.
func (r *Registry) PruneBouncers(before time.Time) []string {
	return r.pruneBouncers(func(b *bouncerRow) bool { return b.lastUsed().Before(before) })
}

func (r *Registry) pruneBouncers(stale func(*bouncerRow) bool) []string {
	r.mu.Lock()
	var names []string
	for name, b := range r.bouncers {
		if stale(b) && !r.busyFurther(b, stale) {
			names = append(names, name)
		}
	}
	r.mu.Unlock()
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		err := r.DeleteBouncer(name)
		if err != nil && !isUnknown(err) {
			r.logger.Warn("an idle bouncer cannot be removed", zap.String("bouncer", name), zap.Error(err))
		}
		return err != nil && !isUnknown(err)
	})
}

// busyFurther tells whether a row's key is in use from another address. It holds mu.
func (r *Registry) busyFurther(b *bouncerRow, stale func(*bouncerRow) bool) bool {
	if b.KeyHash == "" {
		return false
	}
	for _, f := range r.further[AuthKey+"\x00"+b.Name] {
		if !stale(f) {
			return true
		}
	}
	return false
}

// Pulled notes that a bouncer asked, and how far its User-Agent of that type has
// been told. A zero cursor notes the asking alone.
func (r *Registry) Pulled(name, typ string, c Cursor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bouncers[name]
	if b == nil {
		return
	}
	b.LastPull = r.now().UTC().Round(0)
	if c != (Cursor{}) {
		b.setCursor(typ, c)
	}
	r.dirty[dirt{tablePulls, name}] = struct{}{}
}
