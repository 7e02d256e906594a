package community

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/store"
)

const (
	stateBucket = "community"
	tokenKey    = "token"
	// tokenMargin is how long before its end a token is replaced. CrowdSec compatible.
	tokenMargin = time.Minute
	maxToken    = 16 << 10
)

// token is a JWT of the server, which we keep and do not verify: it is the server that
// has to believe it. It outlives a restart.
type token struct {
	URL, Login string // whose it is
	Text       string
	Until      time.Time
}

// claims are what a JWT says of us.
type claims struct {
	Exp          float64 `json:"exp"`
	Organisation string  `json:"organization_id"`
	Subscription string  `json:"subscription_type"`
}

// newToken takes a token of a login. Its end is in the token; expire is what the answer
// says, for a token that does not.
func newToken(cred *Credentials, text string, expire time.Time) (token, error) {
	t := token{URL: cred.URL, Login: cred.Login, Text: text, Until: expire}
	if text == "" || len(text) > maxToken || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return token{}, errors.New("the answer has no token")
	}
	if exp := t.claims().Exp; exp > 0 && exp < 1<<40 {
		t.Until = time.Unix(int64(exp), 0).UTC()
	}
	if t.Until.IsZero() {
		return token{}, errors.New("the token has no end")
	}
	return t, nil
}

func (t *token) good(now time.Time) bool {
	return t.Text != "" && now.Before(t.Until.Add(-tokenMargin))
}

// claims reads the middle of the three parts of a JWT.
func (t *token) claims() claims {
	var c claims
	parts := strings.Split(t.Text, ".")
	if len(parts) != 3 {
		return c
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(text, &c) != nil {
		return claims{}
	}
	return c
}

// load reads the token that was kept, if it is of these credentials.
func (t *token) load(db *store.DB, cred *Credentials) error {
	text, err := db.Get(stateBucket, tokenKey)
	if err != nil || text == nil {
		return err
	}
	var kept token
	if json.Unmarshal(text, &kept) == nil && kept.URL == cred.URL && kept.Login == cred.Login {
		*t = kept
	}
	return nil
}

func (t *token) save(db *store.DB) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keeping the token: %w", err)
	}
	if err := db.Put(stateBucket, tokenKey, text); err != nil {
		return fmt.Errorf("keeping the token: %w", err)
	}
	return nil
}

// sortedNames are names in order, each once; never nil.
func sortedNames(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return append([]string{}, slices.Compact(out)...)
}

// withoutURL is what went wrong with a request, without its address: links are secrets.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
