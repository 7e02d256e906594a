package localapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

const maxScenarios = 128 << 10 // bytes of the names that one machine may tell

// loginBody is what a machine sends to log in.
type loginBody struct {
	Machine   string   `json:"machine_id"`
	Password  string   `json:"password"`
	Scenarios []string `json:"scenarios"`
}

// login gives a machine a token for its password or certificate.
// CrowdSec compatible: the messages, of which some tell more than they need to.
// Unlike there, a User-Agent without a slash is accepted.
func login(c *call) error {
	b, err := c.body()
	if err != nil {
		return err
	}
	var in loginBody
	err = json.Unmarshal(b, &in)
	if in.Password == "" {
		name, cerr := c.certificate(c.config.AgentOUs)
		switch {
		case cerr == nil && err != nil:
			return unauthorized("missing scenarios list for machine " + name + ": " + jsonError(err).Error())
		case cerr == nil:
			return loginCertificate(c, name, in.Scenarios)
		case !errors.Is(cerr, errNoCertificate):
			return unauthorized("access forbidden")
		}
	}
	if err != nil {
		return unauthorized("missing: " + jsonError(err).Error())
	}
	var v violations
	v.need(in.Machine != "", "machine_id")
	v.need(in.Password != "", "password")
	if err := v.err(); err != nil {
		return unauthorized(err.Error())
	}
	return loginPassword(c, &in)
}

// loginPassword takes one try for the name, and where the password is not known as
// right already one for the address. Who is right gets them back.
func loginPassword(c *call, in *loginBody) error {
	doors, rows := c.s.doors, c.s.o.Registry
	named, all := trier{c.peer.Addr, in.Machine}, trier{from: c.peer.Addr}
	if err := doors.try(named, tryName, c.now); err != nil {
		return err
	}
	m, known := rows.machine(in.Machine)
	mark := doors.mark(m.PasswordHash, in.Password)
	if !known || !m.Validated || !rows.wasRight(&m, mark) {
		if err := doors.try(all, tryAll, c.now); err != nil {
			return err
		}
		if err := c.checkPassword(&m, known, in.Password); err != nil {
			return err
		}
		doors.forgive(all, tryAll)
		rows.setRight(&m, mark)
	}
	doors.forgive(named, tryName)
	return loggedIn(c, &m, in.Scenarios)
}

// checkPassword tells what is wrong with a login. bcrypt is for rows that a right
// password would open.
func (c *call) checkPassword(m *Machine, known bool, password string) error {
	switch {
	case !known:
		return unauthorized("ent: machine not found")
	case m.Auth != AuthPassword:
		return unauthorized("machine " + m.Name + " attempted to auth with password but it is configured to use " + m.Auth)
	case !m.Validated:
		return unauthorized("machine " + m.Name + " not validated")
	}
	right, err := c.s.doors.check(c.r.Context(), m.PasswordHash, password)
	if err == nil && !right {
		err = unauthorized("incorrect Username or Password")
	}
	return err
}

// loginCertificate makes the row of a certificate's name and address where there is
// none.
func loginCertificate(c *call, cn string, scenarios []string) error {
	name := furtherName(cn, c.peer.Addr)
	m, known := c.s.o.Registry.machine(name)
	if !known {
		m = Machine{Name: name, Auth: AuthTLS, Validated: true, Created: c.now, Updated: c.now}
		if err := c.s.o.Registry.putMachine(m, false); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		m, known = c.s.o.Registry.machine(name)
	}
	switch {
	case !known:
		return unauthorized("ent: machine not found") // deleted meanwhile
	case m.Auth != AuthTLS:
		return unauthorized("machine " + name + " attempted to auth with TLS cert but it is configured to use " + m.Auth)
	case !m.Validated:
		return unauthorized("machine " + name + " not validated")
	}
	return loggedIn(c, &m, scenarios)
}

// loggedIn notes what the machine told, and answers with a token.
func loggedIn(c *call, m *Machine, scenarios []string) error {
	version := c.agent()
	c.s.o.Registry.touchMachine(m.Name, func(row *machineRow, _ time.Time) {
		if row.Version = version.version; row.Version == "N/A" {
			row.Version = version.typ
		}
		if c.peer.Addr.IsValid() {
			row.IP = c.peer.Addr.String()
		}
		if len(scenarios) > 0 {
			row.Scenarios = plainNames(scenarios)
		}
	})
	return answerToken(c, m)
}

// plainNames keeps the names that may be one's of a scenario, so many of them as a row
// has room for.
func plainNames(names []string) []string {
	kept, room := []string{}, maxScenarios
	for _, n := range names {
		if room -= len(n) + len(`"",`); room < 0 {
			break
		}
		if n != "" && len(n) <= maxAgent && strings.IndexFunc(n, odd) < 0 {
			kept = append(kept, n)
		}
	}
	return kept
}

// odd are characters that no name has, and those that JSON would spell longer.
func odd(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\<>&`, r) }

func answerToken(c *call, m *Machine) error {
	token, end, err := newToken(c.s.o.Secret(), m, c.now)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		Code   int    `json:"code"`
		Expire string `json:"expire"`
		Token  string `json:"token"`
	}{http.StatusOK, end.UTC().Format(time.RFC3339), token})
}

// refresh gives a machine another token for one that has not ended yet.
func refresh(c *call) error { return answerToken(c, c.machine) }
