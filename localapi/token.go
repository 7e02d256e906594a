package localapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	tokenLife = time.Hour // CrowdSec compatible
	minSecret = 32
)

// claims are what a token says. Rev ties it to one state of the machine's row:
// who is deleted, registered anew or given another password has no token any more,
// and nothing needs to be remembered of tokens.
type claims struct {
	Exp     int64  `json:"exp"`
	ID      string `json:"id"`
	OrigIat int64  `json:"orig_iat"`
	Rev     string `json:"rev"`
}

// The methods of jwt.Claims.

// GetExpirationTime is the end.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.Exp, 0)), nil
}

// GetIssuedAt is when the token was made.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.OrigIat, 0)), nil
}

// GetNotBefore is not used.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer is not used.
func (c *claims) GetIssuer() (string, error) { return "", nil }

// GetSubject is not used.
func (c *claims) GetSubject() (string, error) { return "", nil }

// GetAudience is not used.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }

// newToken makes a token for a machine as its row is now.
func newToken(secret []byte, m *Machine, now time.Time) (token string, end time.Time, err error) {
	if len(secret) < minSecret {
		return "", end, noSecret()
	}
	end = now.Add(tokenLife)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		Exp: end.Unix(), ID: m.Name, OrigIat: now.Unix(), Rev: revision(secret, m),
	}).SignedString(secret)
	if err != nil {
		return "", end, fmt.Errorf("signing a token: %w", err)
	}
	return token, end, nil
}

func noSecret() error {
	return &failure{status: http.StatusServiceUnavailable, text: "the key of tokens is not known yet", wait: 10 * time.Second}
}

// readToken checks a token and tells whose it is.
func readToken(secret []byte, token string, now time.Time) (name, rev string, err error) {
	if len(secret) < minSecret {
		return "", "", noSecret()
	}
	var c claims
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	).ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return secret, nil })
	if err != nil {
		return "", "", unauthorized(tokenError(token, err))
	}
	return c.ID, c.Rev, nil
}

// tokenError is what the client is told. The words of the library, which may quote
// the token, are not.
func tokenError(token string, err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "Token is expired" // CrowdSec compatible
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "signature is invalid"
	case segments(token) != 3:
		return "token contains an invalid number of segments" // CrowdSec compatible
	default:
		return "token is malformed"
	}
}

func segments(token string) int {
	n := 1
	for i := range len(token) {
		if token[i] == '.' {
			n++
		}
	}
	return n
}

// revision names the state of a machine's row that tokens hang on.
func revision(secret []byte, m *Machine) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "machine\x00%s\x00%d\x00%s", m.Name, m.Created.UnixNano(), m.PasswordHash)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func sameRevision(secret []byte, m *Machine, rev string) bool {
	return hmac.Equal([]byte(revision(secret, m)), []byte(rev))
}
