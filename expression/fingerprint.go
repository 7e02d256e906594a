package expression

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ja4h is the JA4H fingerprint of a request, after the public description of FoxIO:
// method, version, cookies, referer, number of headers and language, then hashes of
// the names of the headers, of the names of the cookies and of the cookies.
//
// CrowdSec compatible: names of headers are sorted and in canonical case, since Go
// keeps no order; nothing to hash is the hash of nothing for headers, and zeros for
// cookies.
func ja4h(r *http.Request) string {
	method := strings.ToLower(r.Method[:min(len(r.Method), 2)])
	cookies := r.Cookies()
	slices.SortStableFunc(cookies, func(a, b *http.Cookie) int { return cmp.Compare(a.Name, b.Name) })
	flags := []byte("nn")
	if len(cookies) > 0 {
		flags[0] = 'c'
	}
	if r.Referer() != "" {
		flags[1] = 'r'
	}
	count := len(r.Header)
	var headers []string
	for name := range r.Header {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, "cookie"), lower == "referer":
		default:
			headers = append(headers, name)
		}
	}
	for _, name := range []string{"Cookie", "Referer"} {
		if r.Header.Get(name) != "" {
			count--
		}
	}
	slices.Sort(headers)
	names, pairs := make([]string, len(cookies)), make([]string, len(cookies))
	for i, c := range cookies {
		names[i], pairs[i] = c.Name, c.Name+"="+c.Value
	}
	return fmt.Sprintf("%s%d%d%s%02d%s_%s_%s_%s", method, r.ProtoMajor%10, r.ProtoMinor%10, flags, min(count, 99),
		language(r.Header.Get("Accept-Language")), digest(headers), digestOrZeros(names), digestOrZeros(pairs))
}

// language is the first language of the header in four characters: "en-GB" is engb,
// "de" is de00.
func language(header string) string {
	first, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(header), ";", ","), ",")
	first = strings.ReplaceAll(first, "-", "") + "0000"
	return first[:4]
}

// digest is the beginning of the SHA-256 of a list.
func digest(list []string) string {
	sum := sha256.Sum256([]byte(strings.Join(list, ",")))
	return hex.EncodeToString(sum[:])[:12]
}

func digestOrZeros(list []string) string {
	if len(list) == 0 {
		return "000000000000"
	}
	return digest(list)
}
