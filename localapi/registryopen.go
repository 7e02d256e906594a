package localapi

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// openKey finds the row that a key opens for a client's address, and makes one where
// the address is new. look changes nothing. The row of a key is bound to the first
// address that uses it.
func (r *Registry) openKey(hash string, from netip.Addr, a agent, look bool) (*Bouncer, error) {
	r.mu.Lock()
	base := r.keys[hash]
	if base == nil || subtle.ConstantTimeCompare([]byte(base.KeyHash), []byte(hash)) != 1 || base.Auth != AuthKey {
		r.mu.Unlock()
		return nil, refused()
	}
	if look || !from.IsValid() || base.IP == "" || base.IP == from.String() {
		defer r.mu.Unlock()
		return r.opened(base, from, a, look), nil
	}
	name := furtherName(base.Name, from)
	if b := r.bouncers[name]; b != nil {
		defer r.mu.Unlock()
		if b.Base != base.Name || b.Auth != AuthKey {
			b = base // the name is somebody else's
		}
		return r.opened(b, from, a, false), nil
	}
	group := base.Name
	r.mu.Unlock()
	return r.open(Bouncer{Name: name, Base: group, Auth: AuthKey}, from, a)
}

// openCertificate finds the row of a certificate's name and a client's address, and
// makes it where there is none.
func (r *Registry) openCertificate(cn string, from netip.Addr, a agent, look bool) (*Bouncer, error) {
	name := furtherName(cn, from)
	r.mu.Lock()
	if b := r.bouncers[name]; b != nil {
		defer r.mu.Unlock()
		if b.Auth != AuthTLS {
			return nil, refused()
		}
		return r.opened(b, from, a, look), nil
	}
	r.mu.Unlock()
	if look {
		return &Bouncer{Name: name, Base: cn, Auth: AuthTLS}, nil
	}
	return r.open(Bouncer{Name: name, Base: cn, Auth: AuthTLS}, from, a)
}

// opened notes in a row who uses it, and copies it. It holds mu.
func (r *Registry) opened(b *bouncerRow, from netip.Addr, a agent, look bool) *Bouncer {
	if !look {
		bind := b.IP == "" && from.IsValid()
		if bind {
			b.IP = from.String()
		}
		if bind || b.Type != a.typ || b.Version != a.version {
			b.Type, b.Version = a.typ, a.version
			r.dirty[dirt{tablePulls, b.Name}] = struct{}{}
		}
	}
	row := b.Bouncer
	return &row
}

// open makes a row for an address, unless another call just did. For one too many of a
// group the idlest goes.
func (r *Registry) open(b Bouncer, from netip.Addr, a agent) (*Bouncer, error) {
	if checkName(b.Name) != nil {
		return nil, refused()
	}
	r.write.Lock()
	defer r.write.Unlock()
	r.mu.Lock()
	made := r.bouncers[b.Name]
	revoked := b.Auth == AuthKey && r.bouncers[b.Base] == nil
	full := len(r.bouncers) >= maxRows
	oldest := r.idlest(b.group())
	r.mu.Unlock()
	switch {
	case revoked || made != nil && (made.Base != b.Base || made.Auth != b.Auth):
		return nil, refused()
	case made != nil:
	case oldest != "":
		if err := r.removeBouncer(oldest); err != nil {
			return nil, err
		}
		r.logger.Info("a bouncer is used from many addresses; the idlest row is gone", zap.String("bouncer", b.Base), zap.String("row", oldest))
	case full:
		return nil, ErrFull
	}
	if made == nil {
		now := r.now().UTC().Round(0)
		b.AutoCreated, b.Created, b.Updated = true, now, now
		made = &bouncerRow{b}
		if err := r.store.Put(tableBouncers, b.Name, made.encode()); err != nil {
			return nil, fmt.Errorf("writing bouncer %q: %w", b.Name, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bouncers[b.Name] == nil {
		r.insertBouncer(made)
	}
	return r.opened(r.bouncers[b.Name], from, a, false), nil
}

// idlest names the row of a full group that was not used for longest, "" where there
// is room. It holds mu.
func (r *Registry) idlest(group string) string {
	rows := r.further[group]
	if len(rows) < maxFurther {
		return ""
	}
	var all []*bouncerRow
	for _, b := range rows {
		all = append(all, b)
	}
	return slices.MinFunc(all, func(x, y *bouncerRow) int {
		if c := x.lastUsed().Compare(y.lastUsed()); c != 0 {
			return c
		}
		return strings.Compare(x.Name, y.Name)
	}).Name
}

// furtherName is NAME@ADDRESS. An address that the name ends in already is replaced.
// CrowdSec compatible.
func furtherName(name string, from netip.Addr) string {
	if i := strings.LastIndexByte(name, '@'); i > 0 {
		if _, err := netip.ParseAddr(name[i+1:]); err == nil {
			name = name[:i]
		}
	}
	return name + "@" + from.String()
}
