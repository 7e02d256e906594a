package expression

import (
	"strings"
	"testing"
)

// The functions of CrowdSec with their types, which the checker compares calls
// with. "-" is none: any arguments pass, and the result may be anything.
const signatures = `
Lower                       func(string) string
Upper                       func(string) string
File                        func(string) []string
UnmarshalJSON               func(string, map[string]interface {}, string) error
JsonExtract                 func(string, string) string
ParseKV                     func(string, map[string]interface {}, string) error
ParseKVLax                  func(string, map[string]interface {}, string) error
Match                       func(string, string) bool
IpInRange                   func(string, string) bool
XMLGetNodeValue             func(string, string) string
XMLGetAttributeValue        func(string, string, string) string
Split                       func(string, string) []string
TrimSpace                   func(string) string
QueryUnescape               func(string) string
PathUnescape                func(string) string
RegexpInFile                func(string, string) bool
Sprintf                     func(string, ...interface {}) string
Distance                    func(string, string, string, string) float64
GetFromStash                func(string, string) string
MedianInterval              func(interface {}) time.Duration
AverageInterval             func(interface {}) time.Duration
IsIPV4                      func(string) bool
IsIPV6                      func(string) bool
IsIP                        func(string) bool
IpToRange                   func(string, string) string
JsonExtractUnescape         func(string, ...string) string
LookupFile                  func(string, string) string
TrimPrefix                  func(string, string) string
TrimSuffix                  func(string, string) string
JA4H                        func(*http.Request) string
JsonExtractLib              func(string, ...string) string
JsonExtractSlice            func(string, string) []interface {}
JsonExtractObject           func(string, string) map[string]interface {}
ToJsonString                func(interface {}) string
FileMap                     func(string) []map[string]string
MatchKnownBot               func(string, string, string, ...string) bool
TimeNow                     func() string
ParseUri                    func(string) map[string][]string
ParseQuery                  func(string) map[string][]string
ExtractQueryParam           func(string, string) []string
PathEscape                  func(string) string
QueryEscape                 func(string) string
Fields                      func(string) []string
Index                       func(string, string) int
IndexAny                    func(string, string) int
Join                        func([]string, string) string
SplitAfter                  func(string, string) []string
SplitAfterN                 func(string, string, int) []string
SplitN                      func(string, string, int) []string
Replace                     func(string, string, string, int) string
ReplaceAll                  func(string, string, string) string
Trim                        func(string, string) string
TrimLeft                    func(string, string) string
TrimRight                   func(string, string) string
Get                         func([]string, int) string
Atof                        func(string) float64
ToString                    func(interface {}) string
KeyExists                   func(string, map[string]interface {}) bool
LogInfo                     func(string, ...interface {}) bool
B64Decode                   func(string) string
Hostname                    func() string
FloatApproxEqual            func(float64, float64) bool
Flatten                     -
Distinct                    -
FlattenDistinct             -
ParseUnix                   func(string) string
SetInStash                  func(string, string, string, interface {}) error
LookupHost                  func(string) []string
GetDecisionsCount           func(string) int
GetDecisionsSinceCount      func(string, string) int
GetActiveDecisionsCount     func(string) int
GetActiveDecisionsTimeLeft  func(string) time.Duration
GeoIPEnrich                 func(string) *geoip.Record
GeoIPASNEnrich              func(string) *expression.autonomousSystem
GeoIPRangeEnrich            func(string) *net.IPNet
IPToCountry                 func(string) string
LibInjectionIsSQLI          func(string) bool
LibInjectionIsXSS           func(string) bool
CrowdsecCTI                 func(string) (*expression.SmokeItem, error)
HTTPGet                     func(string) (*expression.HTTPResponse, error)
HTTPHead                    func(string) (*expression.HTTPResponse, error)
HTTPPost                    func(string, string, string) (*expression.HTTPResponse, error)
HTTPRequest                 func(string, string, map[string]interface {}, string) (*expression.HTTPResponse, error)
`

func TestSignatures(t *testing.T) {
	e := New(Options{})
	listed := map[string]bool{"now": true} // of the language, here by the clock of the Env
	for line := range strings.Lines(strings.TrimSpace(signatures)) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		listed[name] = true
		f := e.functions[name]
		if f == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		got := "-"
		if len(f.Types) > 0 {
			got = f.Types[0].String()
		}
		if want = strings.TrimSpace(want); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if len(listed) != 84 {
		t.Errorf("%d functions are listed", len(listed)-1)
	}
	for name := range e.functions {
		if !listed[name] {
			t.Errorf("%s is not CrowdSec's", name)
		}
	}
}

// What asks other machines is known by name, and none of it is evaluated when
// expressions are compiled.
func TestNatures(t *testing.T) {
	e := New(Options{})
	remote := []string{"CrowdsecCTI", "HTTPGet", "HTTPHead", "HTTPPost", "HTTPRequest", "LookupHost", "MatchKnownBot"}
	n := 0
	for name, is := range e.remote {
		if is {
			n++
		}
		if is && e.pure[name] {
			t.Errorf("%s is pure and remote", name)
		}
	}
	for _, name := range remote {
		if !e.remote[name] {
			t.Errorf("%s is not remote", name)
		}
	}
	if n != len(remote) {
		t.Errorf("%d functions are remote", n)
	}
}
