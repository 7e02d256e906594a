package captcha

import (
	"crypto/subtle"
	"strings"
	"unicode"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 256

// normalise turns what a person typed into ASCII digits: any script's digits
// count, and what people put between digits does not. Anything else stays in, as
// a mark that never matches.
func normalise(answer string) string {
	if len(answer) > maxAnswer {
		answer = answer[:maxAnswer]
	}
	return strings.Map(func(r rune) rune {
		if d, ok := digit(r); ok {
			return d
		}
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Pd, unicode.Cf, unicode.Cc),
			strings.ContainsRune(",.;:_/'’،、。·", r), r == '−': // U+2212, a symbol and no dash
			return -1
		}
		return '?'
	}, answer)
}

// digit returns the ASCII digit of the same value. The ranges of decimal digits
// each begin with a zero and run in tens.
func digit(r rune) (rune, bool) {
	if r >= '0' && r <= '9' {
		return r, true
	}
	if r < 0x80 || !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	for _, t := range unicode.Nd.R16 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10, true
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10, true
		}
	}
	return 0, false
}

func matches(digits, answer string) bool {
	return digits != "" && subtle.ConstantTimeCompare([]byte(digits), []byte(normalise(answer))) == 1
}
