package decisions

import (
	"fmt"
)

// allowChange is what the fleet says of one entry; entry nil: it is not there.
type allowChange struct {
	key   allowKey
	entry *AllowEntry
	own   int64
}

// adopt makes changes that come from the fleet, in their order, except those that do
// not hold; it reports whether anything differs then. write brings them to disk: if it
// cannot, they are in force all the same.
func (t *Allow) adopt(changes []allowChange, holds func(allowKey, int64) bool, write func([]op) error, r *refusals) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.newEdit()
	for _, c := range changes {
		if !holds(c.key, c.own) {
			continue
		}
		if err := x.adopt(&c); err != nil {
			r.add(err)
		}
	}
	if len(x.next) == 0 {
		return false
	}
	disk, err := x.disk()
	if err == nil {
		err = write(disk)
	}
	if err != nil {
		r.add(fmt.Errorf("keeping the fleet's allowlist: %w", err))
	}
	return x.apply()
}

// adopt makes one change.
func (x *allowEdit) adopt(c *allowChange) error {
	have := x.entry(c.key)
	if c.entry == nil || c.entry.over(x.now) {
		if have != nil && have.Kind == KindManual {
			x.remove(c.key, false)
		}
		return nil
	}
	h := x.head(c.key.list)
	switch {
	case h == nil:
		made := allowHead{Description: c.entry.ListAbout, Created: wholeMillis(c.entry.Created), Foreign: true}
		if _, err := x.create(c.key.list, made); err != nil {
			return err
		}
	case h.Managed:
		return fmt.Errorf("allowlist entry %s: %w", c.key, ErrManaged)
	}
	e := *c.entry
	e.Kind, e.ListAbout, e.Created = KindManual, "", e.Created.UTC()
	if have != nil && have.same(&e) {
		return nil
	}
	return x.put(c.key, &e, false)
}
