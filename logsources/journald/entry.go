package journald

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// timeLayout keeps the microseconds that the classic syslog date has no room for.
const timeLayout = "2006-01-02T15:04:05.000000-07:00"

// fields are those asked for beside the ones that journalctl always prints.
const fields = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_COMM,_PID,_HOSTNAME"

// entry is one journal entry in journalctl's JSON form.
type entry struct {
	Cursor     string `json:"__CURSOR"`
	Realtime   text   `json:"__REALTIME_TIMESTAMP"` // microseconds since 1970
	Message    text   `json:"MESSAGE"`
	Identifier text   `json:"SYSLOG_IDENTIFIER"`
	SyslogPID  text   `json:"SYSLOG_PID"`
	Comm       text   `json:"_COMM"`
	PID        text   `json:"_PID"`
	Host       text   `json:"_HOSTNAME"`
}

// text is the value of a field. In JSON it is a string, a list of numbers (bytes
// that are no clean UTF-8), a list of such values (a field that was set several
// times: the first one counts) or null (too long).
type text string

// UnmarshalJSON accepts all forms that journalctl prints.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) == 0 || string(b) == "null":
		*t = ""
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	case b[0] != '[':
		return errors.New("a journal field is neither text nor bytes")
	}
	var numbers []uint16
	if json.Unmarshal(b, &numbers) == nil {
		raw := make([]byte, len(numbers))
		for i, n := range numbers {
			if n > 255 {
				return errors.New("a journal field holds a byte above 255")
			}
			raw[i] = byte(n)
		}
		*t = text(raw)
		return nil
	}
	var values []text
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	*t = values[0]
	return nil
}

// decode reads one line of journalctl's output.
func decode(b []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(b, &e); err != nil {
		return e, err
	}
	if e.Cursor == "" {
		return e, errors.New("a journal entry has no cursor")
	}
	return e, nil
}

// line returns the entry as syslog writes it, on one line:
// "2026-01-02T15:04:05.123456+00:00 host ident[pid]: message". It is empty if
// there is no message. now stands in for a missing time.
func (e *entry) line(now time.Time) string {
	message := strings.TrimRight(clean(string(e.Message)), " ")
	if message == "" {
		return ""
	}
	at := now
	if us, err := strconv.ParseInt(string(e.Realtime), 10, 64); err == nil {
		at = time.UnixMicro(us)
	}
	b := make([]byte, 0, 64+len(message))
	b = at.UTC().AppendFormat(b, timeLayout)
	b = append(b, ' ')
	b = append(b, word(string(e.Host), "localhost")...)
	b = append(b, ' ')
	b = append(b, word(string(e.Identifier), word(string(e.Comm), "unknown"))...)
	pid := string(e.SyslogPID)
	if !digits(pid) {
		pid = string(e.PID)
	}
	if digits(pid) {
		b = append(b, '[')
		b = append(b, pid...)
		b = append(b, ']')
	}
	b = append(b, ": "...)
	return string(append(b, message...))
}

// clean replaces control characters by spaces; tabs stay. Bytes that are no UTF-8
// stay as they are.
func clean(s string) string {
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	b := []byte(s)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if control(r) {
			for j := range n {
				b[i+j] = ' '
			}
		}
		i += n
	}
	return string(b)
}

func control(r rune) bool { return r != '\t' && unicode.IsControl(r) }

// word returns s with everything replaced that would end a word of a syslog
// header, or fallback if s is empty.
func word(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '[' || r == ']' || r == ':' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}

func digits(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}
