package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// readBody decodes a JSON body strictly.
func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil && dec.More() {
		err = errors.New("there is more than one JSON value")
	}
	if err != nil {
		return badRequest(fmt.Errorf("reading the request body: %w", err))
	}
	return nil
}

// only refuses parameters that are not among names: a misspelt one would select
// more than was meant.
func only(r *http.Request, names []string) error {
	for name := range r.URL.Query() {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
			return badRequest(fmt.Errorf("parameter %q is unknown; there are none here", name))
		default:
			return badRequest(fmt.Errorf("parameter %q is unknown; known are %s", name, strings.Join(names, ", ")))
		}
	}
	return nil
}

// param is the value of a parameter, "" without one. Bodies are no forms.
func param(r *http.Request, name string) string { return r.URL.Query().Get(name) }

// flag reads a parameter that is true or false; without it is otherwise.
func flag(r *http.Request, name string, otherwise bool) (bool, error) {
	s := param(r, name)
	if s == "" {
		return otherwise, nil
	}
	is, err := strconv.ParseBool(s)
	if err != nil {
		return otherwise, badRequest(fmt.Errorf("%s %q is neither true nor false", name, s))
	}
	return is, nil
}

// limit reads how many are wanted at the most; without it is otherwise.
func limit(r *http.Request, otherwise, least, most int) (int, error) {
	s := param(r, "limit")
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, badRequest(fmt.Errorf("limit %q is not a number from %d to %d", s, least, most))
	}
	return n, nil
}

// past reads a length of time, and is the moment so long ago; zero without it.
func past(r *http.Request, name string) (time.Time, error) {
	s := param(r, name)
	if s == "" {
		return time.Time{}, nil
	}
	d, err := positive(s)
	if err != nil {
		return time.Time{}, badRequest(err)
	}
	return time.Now().Add(-d), nil
}

// ages reads since and until.
func ages(r *http.Request) (since, until time.Time, err error) {
	if since, err = past(r, "since"); err != nil {
		return since, until, fmt.Errorf("since: %w", err)
	}
	if until, err = past(r, "until"); err != nil {
		return since, until, fmt.Errorf("until: %w", err)
	}
	return since, until, nil
}

// place reads where decisions are to be: ip, or range with contained.
func place(r *http.Request) (ip netip.Addr, p netip.Prefix, within bool, err error) {
	if s := param(r, "ip"); s != "" {
		if ip, err = netip.ParseAddr(s); err != nil {
			return ip, p, false, badRequest(fmt.Errorf("ip %q is not an address", s))
		}
		ip = ip.Unmap()
	}
	if within, err = flag(r, "contained", false); err != nil {
		return ip, p, false, err
	}
	s := param(r, "range")
	if s == "" && within {
		return ip, p, false, badRequest(errors.New("contained needs the range that decisions are to be inside of"))
	}
	if s != "" {
		if p, err = ParsePrefix(s); err != nil {
			return ip, p, false, badRequest(fmt.Errorf("range: %w", err))
		}
	}
	return ip, p, within, nil
}

// text refuses what does not fit into a record: too long, or with characters that
// move a terminal's cursor.
func text(name, value string) error {
	if len(value) > maxAdminText || strings.ContainsFunc(value, unicode.IsControl) {
		return badRequest(fmt.Errorf("%s is not possible; write at most %d bytes without control characters", name, maxAdminText))
	}
	return nil
}
