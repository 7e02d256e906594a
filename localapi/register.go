package localapi

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"go.uber.org/zap"
)

// registerBody is what a machine sends to become one.
type registerBody struct {
	Machine  string `json:"machine_id"`
	Password string `json:"password"`
	Token    string `json:"registration_token"`
}

func (b *registerBody) check() error {
	var v violations
	v.need(b.Machine != "", "machine_id")
	v.need(b.Password != "", "password")
	if b.Token != "" && len(b.Token) < minAutoToken {
		v = append(v, "registration_token in body should be at least 32 chars long")
	}
	if b.Machine != "" && checkName(b.Machine) != nil {
		v = append(v, "machine_id in body must be 1 to 256 bytes of printable text")
	}
	if err := v.err(); err != nil {
		return fail(http.StatusUnprocessableEntity, "%v", err)
	}
	if len(b.Password) > maxPassword {
		return fail(http.StatusBadRequest, "hashing password: %v", ErrPassword)
	}
	return nil
}

// register makes the row of a machine: 201 for one that waits to be validated, 202
// for one that the registration token validates. At a site only the latter works.
//
// A machine that comes again with the same token gets a new password, which is how a
// container that lost its files comes back; only the row that this very token
// registered, and only from where the token may be used. Unlike CrowdSec, which
// answers 403.
func register(c *call) error {
	if c.config.LocalRegistration && !c.peer.Local {
		return refused()
	}
	var in registerBody
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	if err := c.s.doors.try(c.registering(), tryName, c.now); err != nil {
		return err
	}
	auto, err := c.validatesItself(in.Token)
	if err != nil {
		return err
	}
	if !auto && !c.peer.Own {
		// Anybody who reaches a site could fill the place of those that wait.
		return refused()
	}
	m := Machine{Name: in.Machine, Auth: AuthPassword, IP: addressText(c.peer), Created: c.now, Updated: c.now}
	if auto {
		m.Validated, m.Auto, m.TokenHash = true, true, hashKey(in.Token)
	}
	if old, taken := c.s.o.Registry.machine(in.Machine); taken && !again(&old, &m) {
		return errTaken(in.Machine)
	}
	if err := c.s.doors.hash(c.r.Context(), func() (err error) {
		m.PasswordHash, err = hashPassword(in.Password)
		return err
	}); err != nil {
		return err
	}
	return c.enrol(m)
}

// registering counts registrations of an address under a name that no machine has.
func (c *call) registering() trier { return trier{c.peer.Addr, "\x00"} }

// enrol writes the row, or its new password.
func (c *call) enrol(m Machine) error {
	err := c.s.o.Registry.putMachine(m, false)
	switch {
	case errors.Is(err, ErrExists) && m.Auto:
		err = c.s.o.Registry.changeMachine(m.Name, func(old *Machine) error {
			if !again(old, &m) {
				return errTaken(m.Name)
			}
			old.PasswordHash = m.PasswordHash
			return nil
		})
		if err == nil {
			c.s.o.Logger.Warn("a machine registered again with its token and has a new password",
				zap.String("machine", m.Name), zap.String("from", m.IP))
		}
	case errors.Is(err, ErrExists):
		return errTaken(m.Name)
	case errors.Is(err, ErrFull):
		return fail(http.StatusServiceUnavailable, "%v: validate or delete some that wait", err)
	case err == nil:
		c.s.o.Logger.Info("a machine registered", zap.String("machine", m.Name), zap.String("from", m.IP), zap.Bool("validated", m.Validated))
	}
	if err != nil {
		return err
	}
	if !m.Auto {
		return c.empty(http.StatusCreated)
	}
	c.s.doors.forgive(c.registering(), tryName)
	return c.empty(http.StatusAccepted)
}

// again tells whether the row there is was registered by the token that comes now.
func again(old, m *Machine) bool {
	return m.Auto && old.Auto && old.Auth == AuthPassword &&
		subtle.ConstantTimeCompare([]byte(old.TokenHash), []byte(m.TokenHash)) == 1
}

// errTaken is CrowdSec's wording.
func errTaken(name string) error {
	return fail(http.StatusForbidden, "user '%s': user already exist", name)
}

// validatesItself judges a registration token.
// CrowdSec compatible: without auto-registration a token is ignored.
func (c *call) validatesItself(token string) (bool, error) {
	if token == "" || !c.config.registersItself() {
		return false, nil
	}
	if subtle.ConstantTimeCompare([]byte(hashKey(token)), []byte(hashKey(c.config.AutoToken))) != 1 {
		return false, fail(http.StatusUnauthorized, "invalid token for auto registration")
	}
	if !contains(c.config.AutoRanges, c.peer.Addr) {
		return false, fail(http.StatusUnauthorized, "IP not in allowed range for auto registration")
	}
	return true, nil
}

func addressText(p peer) string {
	if !p.Addr.IsValid() {
		return ""
	}
	return p.Addr.String()
}

// unregister removes the row of the machine that asks. Its token is worth nothing
// from then on, so that a second call is answered 401 (CrowdSec: 500).
func unregister(c *call) error {
	if err := c.s.o.Registry.DeleteMachine(c.machine.Name); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
