package appliance

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/community"
)

// redacted stands for what must not leave the node.
const redacted = "(redacted)"

// leastSecret is the least length of a secret that is looked for in texts; shorter ones
// are parts of words.
const leastSecret = 6

// secretKey reports whether the value of a key is a secret, whatever is configured there.
func secretKey(key string) bool {
	for _, part := range []string{"password", "token", "secret"} {
		if strings.Contains(strings.ToLower(key), part) {
			return true
		}
	}
	return false
}

// inURL is a URL in a text: scheme, credentials, host, and the rest, which may be as good
// as a password.
var inURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s/"'<>@]*@)?([^\s/"'<>?#@\\]+)([^\s"'<>\\]*)`)

// quotedValue is how errors about YAML quote what they found.
var quotedValue = regexp.MustCompile("`[^`]*`")

// redactedConfig is a configuration as JSON has it, without secrets. What is not a
// setting of ours is not in it.
func redactedConfig(c *Config) any {
	data, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err.Error()
	}
	return redact(v, nil)
}

// redact replaces the values of secret keys; found, unless nil, hears of them.
func redact(v any, found func(string)) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok && secretKey(key) && text != "" {
				if found != nil {
					found(text)
				}
				v[key] = redacted
				continue
			}
			v[key] = redact(value, found)
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i], found)
		}
	}
	return v
}

// redaction cleans texts of which nobody knows how a secret came into them, such as
// errors of others.
type redaction struct{ secrets []string }

func newRedaction(c *Config) *redaction {
	r := &redaction{}
	add := func(secret string) {
		if len(secret) >= leastSecret {
			r.secrets = append(r.secrets, secret)
		}
	}
	var v any
	if data, err := json.Marshal(c); err == nil && json.Unmarshal(data, &v) == nil {
		redact(v, add)
	}
	if file := c.credentials(); file != "" {
		if cred, err := community.ReadCredentials(file); err == nil {
			add(cred.Login)
			add(cred.Password)
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	return r
}

func (r *redaction) text(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, redacted)
		if data, err := json.Marshal(secret); err == nil {
			s = strings.ReplaceAll(s, string(data[1:len(data)-1]), redacted)
		}
	}
	s = inURL.ReplaceAllStringFunc(s, func(url string) string {
		part := inURL.FindStringSubmatch(url)
		if part[2] == "" && (part[4] == "" || part[4] == "/") {
			return url
		}
		return part[1] + part[3] + "/" + redacted
	})
	return quotedValue.ReplaceAllString(s, "`"+redacted+"`")
}
