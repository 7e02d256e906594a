package testkit

import (
	"errors"
	"fmt"
	"html"
	"regexp"

	"github.com/rampart-edge/rampart/captcha"
)

// ErrNoChallenge is returned when a page holds no challenge.
var ErrNoChallenge = errors.New("no challenge token on the page")

var tokenInput = regexp.MustCompile(`name="t" value="([^"]+)"`)

// ChallengeToken returns the sealed token of a challenge page.
func ChallengeToken(page string) (string, error) {
	m := tokenInput.FindStringSubmatch(page)
	if m == nil {
		return "", ErrNoChallenge
	}
	return html.UnescapeString(m[1]), nil
}

// Answer returns the digits that solve a challenge page, which only someone with
// the secret can know.
func Answer(secret []byte, host, page string) (string, error) {
	token, err := ChallengeToken(page)
	if err != nil {
		return "", err
	}
	s, err := captcha.Open(secret, host, token)
	if err != nil {
		return "", fmt.Errorf("opening challenge token: %w", err)
	}
	return s.Digits, nil
}
