package captcha_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/captcha"
)

func sampleSealed() captcha.Sealed {
	return captcha.Sealed{
		ID: [16]byte{1, 2, 15: 16}, Method: captcha.Audio, Flags: captcha.Replay | captcha.Resend, Post: true,
		Issued: time.UnixMilli(1772366400123), Expires: time.Unix(1772367000, 0), Decision: time.Unix(1772366000, 0),
		Digits: "0123456789", Address: [8]byte{1}, Agent: [8]byte{7: 2}, Return: "/a?b=c",
	}
}

func TestSealOpen(t *testing.T) {
	k, err := captcha.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*captcha.Sealed){
		"full": func(*captcha.Sealed) {}, "no digits": func(s *captcha.Sealed) { s.Digits = "" },
		"no return":   func(s *captcha.Sealed) { s.Return = "" },
		"long return": func(s *captcha.Sealed) { s.Return = "/" + strings.Repeat("x", 1023) },
		"no decision": func(s *captcha.Sealed) { s.Decision = time.Unix(0, 0) },
	} {
		s := sampleSealed()
		change(&s)
		token := k.Seal("shop.example", &s)
		got, err := captcha.Open(secret, "Shop.example:443", token)
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if again := k.Seal("shop.example", &s); again == token {
			t.Errorf("%s: two tokens are the same", name)
		}
		if got, err := k.Open("shop.example", token, s.Expires); err != captcha.ErrExpired || got.Return != s.Return {
			t.Errorf("%s: at its end: %v", name, err)
		}
		if _, err := k.Open("shop.example", token, s.Expires.Add(-1)); err != nil {
			t.Errorf("%s: just before its end: %v", name, err)
		}
		if _, err := captcha.Open(secret, "other.example", token); err != captcha.ErrToken {
			t.Errorf("%s: for another host: %v", name, err)
		}
		if strings.Contains(token, s.Digits) && s.Digits != "" {
			t.Errorf("%s: digits in clear", name)
		}
	}
	if _, err := captcha.Open([]byte("short"), "x", "y"); err != captcha.ErrSecret {
		t.Errorf("short secret: %v", err)
	}
}

// FuzzOpen opens hostile tokens: nothing but what was sealed may open. GOOD stands
// for a token that does, since each process of a fuzz run seals its own.
func FuzzOpen(f *testing.F) {
	k, err := captcha.NewSealer(secret)
	if err != nil {
		f.Fatal(err)
	}
	s := sampleSealed()
	good := k.Seal("shop.example", &s)
	for _, seed := range []string{"GOOD", "", strings.Repeat("A", 200), "AQAGOOD", "GOODA", "GOOD=", "GO\nOD"} {
		f.Add(seed, uint16(0), byte(0))
		f.Add(seed, uint16(100), byte(1))
	}
	f.Fuzz(func(t *testing.T, token string, at uint16, flip byte) {
		b := []byte(strings.ReplaceAll(token, "GOOD", good))
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		token = string(b)
		// The decoder skips line breaks; that is the only other spelling.
		if got, err := k.Open("shop.example", token, time.Time{}); err == nil && strings.NewReplacer("\r", "", "\n", "").Replace(token) != good {
			t.Fatalf("%q opens: %+v", token, got)
		}
	})
}

// TestEveryDigit checks the value of each decimal digit of Unicode against its
// neighbours: in every script ten of them follow one another, zero first.
func TestEveryDigit(t *testing.T) {
	n := 0
	check := func(lo, hi rune, stride uint32) {
		if stride != 1 || (hi-lo+1)%10 != 0 {
			t.Fatalf("range %U-%U by %d does not consist of tens", lo, hi, stride)
		}
		for r := lo; r <= hi; r++ {
			n++
			if got, want := captcha.Normalise(string(r)), string('0'+(r-lo)%10); got != want {
				t.Errorf("%U is %q, want %q", r, got, want)
			}
		}
	}
	for _, r := range unicode.Nd.R16 {
		check(rune(r.Lo), rune(r.Hi), uint32(r.Stride))
	}
	for _, r := range unicode.Nd.R32 {
		check(rune(r.Lo), rune(r.Hi), r.Stride)
	}
	for in, want := range map[string]string{"٣٤٥": "345", "۷": "7", "９": "9", "१२": "12", "𝟘𝟡": "09"} {
		if got := captcha.Normalise(in); got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
	if n < 600 {
		t.Errorf("only %d digits", n)
	}
	if got := captcha.Normalise("12a"); got == "12" {
		t.Error("letters vanish")
	}
}

func TestHostOnly(t *testing.T) {
	for in, want := range map[string]string{
		"a.b": "a.b", "A.B:80": "a.b", "a.b.": "a.b", "[::1]:80": "[::1]", "[::1]": "[::1]", "::1": "::1", "": "", "a:": "a",
	} {
		if got := captcha.HostOnly(in); got != want {
			t.Errorf("hostOnly(%q) = %q, want %q", in, got, want)
		}
	}
}
