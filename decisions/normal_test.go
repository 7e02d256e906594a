package decisions_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

func TestNormalise(t *testing.T) {
	for _, tc := range []struct {
		scope, value, typ string
		wide              bool
		want              string // "scope value type", or part of the error after "!"
	}{
		{"ip", "192.0.2.1", "ban", false, "Ip 192.0.2.1 ban"},
		{"IP", " ::ffff:192.0.2.1 ", "BAN", true, "Ip 192.0.2.1 ban"},
		{"Ip", "2001:DB8::1%eth0", "Captcha", false, "Ip 2001:db8::1 captcha"},
		{"Ip", "2001:db8::1", "ban", true, "Range 2001:db8::/64 ban"},
		{"Ip", "192.0.2.1/32", "ban", false, "Ip 192.0.2.1 ban"},
		{"Ip", "192.0.2.0/24", "ban", false, "!decide it with scope Range"},
		{"Ip", "example.com", "ban", false, "!expected one such as 192.0.2.7"},
		{"Ip", "", "ban", false, "!expected one such as"},
		{"range", "192.0.2.77/24", "ban", false, "Range 192.0.2.0/24 ban"},
		{"RANGE", "::ffff:192.0.2.0/120", "ban", false, "Range 192.0.2.0/24 ban"},
		{"Range", "192.0.2.7", "ban", false, "Ip 192.0.2.7 ban"},
		{"Range", "2001:db8::/48", "ban", true, "Range 2001:db8::/48 ban"},
		{"Range", "10.0.0.0/33", "ban", false, "!expected one such as 192.0.2.0/24"},
		{"Range", "10.0.0.0/7", "ban", false, "!range too wide"},
		{"Range", "10.0.0.0/8", "ban", false, "Range 10.0.0.0/8 ban"},
		{"Range", "2000::/15", "ban", false, "!range too wide"},
		{"Range", "2001::/16", "ban", false, "Range 2001::/16 ban"},
		{"Range", "::/16", "ban", false, "!range too wide: loopback"},
		{"Range", "::/127", "ban", false, "!range too wide: loopback"},
		{"Range", "::ffff:0.0.0.0/90", "ban", false, "!range too wide: loopback"},
		{"Range", "64:ff9b::/96", "ban", false, "Range 64:ff9b::/96 ban"},
		{"Range", "::ffff:0.0.0.0/96", "captcha", false, "!range too wide"},
		{"", "192.0.2.0/24", "ban", false, "Range 192.0.2.0/24 ban"},
		{"", "192.0.2.1", "ban", false, "Ip 192.0.2.1 ban"},
		{"country", "fr", "ban", false, "Country FR ban"},
		{"Country", "France", "ban", false, "!two letters"},
		{"as", "AS64496", "ban", false, "AS 64496 ban"},
		{"AS", "sixty", "ban", false, "!expected a number"},
		{"username", "root", "Mfa", false, "username root Mfa"},
		{"username", "", "ban", false, "!value of scope username is missing"},
		{"username", "a\nb", "ban", false, "!control characters"},
		{"username", strings.Repeat("x", 600), "ban", false, "!at most 512"},
		{"Ip", "192.0.2.1", " ", false, "!type is missing"},
	} {
		d := decisions.Decision{Scope: tc.scope, Value: tc.value, Type: tc.typ}
		err := decisions.Normalise(&d, tc.wide)
		got := d.Scope + " " + d.Value + " " + d.Type
		if want, bad := strings.CutPrefix(tc.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %v, want %q", tc, err, want)
			}
			if strings.Contains(want, "too wide") != errors.Is(err, decisions.ErrTooWide) {
				t.Errorf("%+v: %v", tc, err)
			}
			continue
		}
		if err != nil || got != tc.want {
			t.Errorf("%+v: got %q, %v", tc, got, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"4h": 4 * time.Hour, "90m": 90 * time.Minute, "2d": 2 * day, "1d2h": 26 * time.Hour, "-1d2h": -26 * time.Hour,
		"0d": 0, "0d5m": 5 * time.Minute, "-0d5m": -5 * time.Minute, " 1d ": day, "1.5h": 90 * time.Minute, "106751d": 106751 * day,
	} {
		if got, err := decisions.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "4", "1.5d", "1d-2h", "1d+2h", "1h2d", "2d2d", "106752d", "106751d24h", "-106751d24h", "99999999999999999999d", "soon"} {
		if got, err := decisions.ParseDuration(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
