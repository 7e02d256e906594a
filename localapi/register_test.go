package localapi

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const autoToken = "0123456789abcdef0123456789abcdef"

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func body(name, password, token string) string {
	return fmt.Sprintf(`{"machine_id":%q,"password":%q,"registration_token":%q}`, name, password, token)
}

func TestRegister(t *testing.T) {
	d := newDesk(t)
	d.server.Use(Config{AutoToken: autoToken, AutoRanges: prefixes("192.0.2.0/24")})
	for _, c := range []struct {
		name, body string
		status     int
		message    string
		asks       []ask
	}{
		{"new", `{"machine_id":"m2","password":"pw2"}`, 201, "", nil},
		{"again", `{"machine_id":"m2","password":"pw2"}`, 403, "user 'm2': user already exist", nil},
		{"again, with the token", body("m2", "pw3", autoToken), 403, "user 'm2': user already exist", nil},
		{"token", body("m3", "pw3", autoToken), 202, "", nil},
		{"short token", body("m4", "pw3", "bad"), 422, `validation failure list:\nregistration_token in body should be at least 32 chars long`, nil},
		{"no password", `{"machine_id":"m5"}`, 422, `validation failure list:\npassword in body is required`, nil},
		{"nothing", `{}`, 422, `validation failure list:\nmachine_id in body is required\npassword in body is required`, nil},
		{"junk", `junk`, 400, "invalid character 'j' looking for beginning of value", nil},
		{"no body", ``, 400, "EOF", nil},
		{"wrong token", body("m6", "pw", strings.Repeat("x", 32)), 401, "invalid token for auto registration", nil},
		{"elsewhere", body("m6", "pw", autoToken), 401, "IP not in allowed range for auto registration", []ask{from("198.51.100.1:1")}},
		{"odd name", body("m\n6", "pw", ""), 422, `validation failure list:\nmachine_id in body must be 1 to 256 bytes of printable text`, nil},
		{"long password", body("m7", strings.Repeat("x", 73), ""), 400, "hashing password: password must have 1 to 72 bytes", nil},
		{"unknown field", `{"machine_id":"m8","password":"p","x":1}`, 201, "", nil},
	} {
		a := d.do("POST", "/v1/watchers", c.body, c.asks...)
		want := ""
		if c.message != "" {
			want = c.message
		}
		got := strings.TrimSuffix(strings.TrimPrefix(a.body, `{"message":"`), `"}`)
		got = strings.TrimPrefix(got, `{"code":401,"message":"`)
		if a.status != c.status || got != want {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.status, a.body, c.status, want)
		}
	}
	d.login("m3", "pw3")
	d.server.Use(Config{}) // a token is ignored where none is asked for
	d.do("POST", "/v1/watchers", body("m9", "pw", autoToken)).want(t, 201, "")
	d.must(d.registry.ValidateMachine("m9"))
	d.login("m9", "pw")
}

func TestLocalRegistration(t *testing.T) {
	d := newDesk(t)
	d.server.Use(Config{LocalRegistration: true, ForwardedFrom: prefixes("127.0.0.0/8", "192.0.2.0/24")})
	for i, c := range []struct {
		name string
		want int
		asks []ask
	}{
		{"remote", 403, nil},
		{"loopback", 201, []ask{from("127.0.0.1:1")}},
		{"loopback 6", 201, []ask{from("[::1]:1")}},
		{"socket", 201, []ask{from("@")}},
		{"forged", 403, []ask{header("X-Forwarded-For", "127.0.0.1")}},
		{"through a proxy here", 403, []ask{from("127.0.0.1:1"), header("X-Forwarded-For", "127.0.0.1")}},
		{"through another proxy here", 403, []ask{from("127.0.0.1:1"), header("Forwarded", "for=127.0.0.1")}},
	} {
		a := d.do("POST", "/v1/watchers", body(fmt.Sprint("m", i), "pw", ""), c.asks...)
		if a.status != c.want || c.want == 403 && a.body != forbidden {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	d.handler = d.server.Handler(false, nil)
	d.do("POST", "/v1/watchers", body("site", "pw", ""), from("127.0.0.1:1")).want(t, 403, forbidden)
}

// TestRegisterAtSites: there only the token makes machines, or anybody on the network
// could fill the place of those that wait.
func TestRegisterAtSites(t *testing.T) {
	d := newDesk(t)
	d.server.Use(Config{AutoToken: autoToken, AutoRanges: prefixes("192.0.2.0/24")})
	d.handler = d.server.Handler(false, func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() })
	d.do("POST", "/v1/watchers", body("a", "pw", "")).want(t, 403, forbidden)
	d.do("POST", "/v1/watchers", body("b", "pw", autoToken)).want(t, 202, "")
	d.server.Use(Config{})
	d.do("POST", "/v1/watchers", body("c", "pw", autoToken)).want(t, 403, forbidden)
	if n := len(d.registry.Machines()); n != 1 {
		t.Errorf("%d machines", n)
	}
}

// TestRegisterAgain: who comes back with the token that made the row gets a new
// password, and nobody else does.
func TestRegisterAgain(t *testing.T) {
	d := newDesk(t)
	d.server.Use(Config{AutoToken: autoToken, AutoRanges: prefixes("192.0.2.0/24")})
	d.do("POST", "/v1/watchers", body("m", "one", autoToken)).want(t, 202, "")
	old := d.login("m", "one")
	d.clock.Advance(time.Hour / 2)
	made, _ := d.registry.machine("m")
	d.do("POST", "/v1/watchers", body("m", "two", autoToken)).want(t, 202, "")
	if n := d.logs.FilterMessageSnippet("registered again").Len(); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if a := d.do("GET", "/v1/heartbeat", "", token(old)); a.status != 401 {
		t.Errorf("the token of the former password: %d", a.status)
	}
	if a := d.do("POST", "/v1/watchers/login", `{"machine_id":"m","password":"one"}`); a.status != 401 {
		t.Errorf("the former password: %d", a.status)
	}
	d.login("m", "two")
	if m, _ := d.registry.machine("m"); !m.Created.Equal(made.Created) || m.Updated.Equal(made.Updated) {
		t.Errorf("row %+v", m)
	}
	if a := d.do("POST", "/v1/watchers", body("m", "three", autoToken), from("198.51.100.1:1")); a.status != 401 {
		t.Errorf("from elsewhere: %d", a.status)
	}
	d.do("POST", "/v1/watchers", body("m", "three", "")).want(t, 403, `{"message":"user 'm': user already exist"}`)
	other := strings.Repeat("y", 40)
	d.server.Use(Config{AutoToken: other, AutoRanges: prefixes("192.0.2.0/24")})
	d.do("POST", "/v1/watchers", body("m", "three", other)).want(t, 403, `{"message":"user 'm': user already exist"}`)
	d.login("m", "two")
	d.must(d.registry.AddMachine("hand", "made", false))
	d.do("POST", "/v1/watchers", body("hand", "three", other)).want(t, 403, `{"message":"user 'hand': user already exist"}`)
	d.login("hand", "made")
}

func TestRegistrationsAreLimited(t *testing.T) {
	d := newDesk(t)
	limited := 0
	for i := range tryName.burst + 5 {
		if d.do("POST", "/v1/watchers", body(fmt.Sprint("m", i), "pw", "")).status == 429 {
			limited++
		}
	}
	if limited != 5 || len(d.registry.Machines()) != tryName.burst {
		t.Errorf("%d limited, %d machines", limited, len(d.registry.Machines()))
	}
}

func TestWaitingMachinesAreBounded(t *testing.T) {
	d := newDesk(t)
	for i := range maxUnvalidated {
		row := &machineRow{Machine: Machine{Name: fmt.Sprint("w", i), Auth: AuthPassword}}
		d.registry.take(tableMachines, row.Name, row.encode())
	}
	if a := d.do("POST", "/v1/watchers", body("m", "pw", "")); a.status != 503 {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
	d.must(d.registry.AddMachine("mine", "pw", false)) // the operator is not locked out
	d.must(d.registry.ValidateMachine("w0"))
	d.do("POST", "/v1/watchers", body("m", "pw", "")).want(t, 201, "")
	if gone := d.registry.PruneMachines(d.clock.Now(), true); len(gone) != maxUnvalidated-1 {
		t.Errorf("%d pruned", len(gone))
	}
	d.clock.Advance(time.Second)
	if gone := d.registry.PruneMachines(d.clock.Now(), true); fmt.Sprint(gone) != "[m]" {
		t.Errorf("%v pruned", gone)
	}
}

func FuzzRegister(f *testing.F) {
	f.Add(body("m", "pw", autoToken))
	f.Add(`{"machine_id":1}`)
	f.Add(`{"machine_id":"` + strings.Repeat("x", 300) + `","password":"p"}`)
	d := fuzzDesk(f)
	f.Fuzz(func(t *testing.T, body string) {
		d := d.on(t)
		d.clock.Advance(time.Hour)
		before := len(d.registry.Machines())
		a := d.do("POST", "/v1/watchers", body)
		switch a.status {
		case 201:
			for _, m := range d.registry.Machines() {
				if m.Name != "m" {
					d.must(d.registry.DeleteMachine(m.Name))
				}
			}
		case 400, 403, 422:
			if len(d.registry.Machines()) != before {
				t.Errorf("%d, and a row was made", a.status)
			}
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
