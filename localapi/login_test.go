package localapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestLogin(t *testing.T) {
	d := newDesk(t)
	d.must(d.registry.AddMachine("testmachine", "testpassword", false))
	d.do("POST", "/v1/watchers", `{"machine_id":"m2","password":"pw2"}`).want(t, 201, "")
	d.must(d.registry.putMachine(Machine{Name: "cert@192.0.2.1", Auth: AuthTLS, Validated: true, Created: d.clock.Now()}, false))
	for _, c := range []struct{ name, body, message string }{
		{"wrong password", `{"machine_id":"testmachine","password":"bad"}`, "incorrect Username or Password"},
		{"too long", `{"machine_id":"testmachine","password":"` + strings.Repeat("x", 200) + `"}`, "incorrect Username or Password"},
		{"unknown", `{"machine_id":"nope","password":"bad"}`, "ent: machine not found"},
		{"no password", `{"machine_id":"x"}`, `validation failure list:\npassword in body is required`},
		{"nothing", `{}`, `validation failure list:\nmachine_id in body is required\npassword in body is required`},
		{"junk", `junk`, "missing: invalid character 'j' looking for beginning of value"},
		{"no body", ``, "missing: EOF"},
		{"not validated", `{"machine_id":"m2","password":"pw2"}`, "machine m2 not validated"},
		{"a certificate's", `{"machine_id":"cert@192.0.2.1","password":"x"}`,
			"machine cert@192.0.2.1 attempted to auth with password but it is configured to use tls"},
	} {
		a := d.do("POST", "/v1/watchers/login", c.body)
		if a.status != 401 || a.body != `{"code":401,"message":"`+c.message+`"}` || a.header.Get("Www-Authenticate") != "JWT realm=Crowdsec API local" {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	a := d.do("POST", "/v1/watchers/login", `{"machine_id":"m","password":"p"}`, header("Content-Encoding", "br"))
	if a.status != 415 {
		t.Errorf("an encoding nobody knows: %d", a.status)
	}
	d.login("testmachine", "testpassword", userAgent("crowdsec/v1.7.5-linux"))
	m, _ := d.registry.machine("testmachine")
	if m.Version != "v1.7.5-linux" || m.IP != "192.0.2.1" || len(m.Scenarios) != 1 {
		t.Errorf("row %+v", m)
	}
	d.login("testmachine", "testpassword", userAgent("no-slash"))
	d.do("POST", "/v1/watchers/login", `{"machine_id":"testmachine","password":"testpassword","scenarios":null}`)
	if m, _ := d.registry.machine("testmachine"); m.Version != "1.0" || len(m.Scenarios) != 1 {
		t.Errorf("row %+v", m)
	}
	d.secret = nil
	if a := d.do("POST", "/v1/watchers/login", `{"machine_id":"testmachine","password":"testpassword"}`); a.status != 503 {
		t.Errorf("without a secret: %d %s", a.status, a.body)
	}
}

func TestTokens(t *testing.T) {
	d := newDesk(t)
	d.must(d.registry.AddMachine("m", "pw", false))
	d.must(d.registry.AddMachine("other", "pw", false))
	good := d.login("m", "pw")
	sign := func(method jwt.SigningMethod, key any, c claims) string {
		s, err := jwt.NewWithClaims(method, &c).SignedString(key)
		d.must(err)
		return s
	}
	m, _ := d.registry.machine("m")
	now := d.clock.Now().Unix()
	rev := revision(d.secret, &m)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token, message string
	}{
		"junk":          {"junk", "token contains an invalid number of segments"},
		"none":          {"", "cookie token is empty"},
		"not base64":    {"a.b.c", "token is malformed"},
		"expired":       {sign(jwt.SigningMethodHS256, d.secret, claims{now - 1, "m", now - 3601, rev}), "Token is expired"},
		"no end":        {sign(jwt.SigningMethodHS256, d.secret, claims{0, "m", now, rev}), "Token is expired"},
		"other key":     {sign(jwt.SigningMethodHS256, []byte("x"), claims{now + 9, "m", now, rev}), "signature is invalid"},
		"HS512":         {sign(jwt.SigningMethodHS512, d.secret, claims{now + 9, "m", now, rev}), "signature is invalid"},
		"alg none":      {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims{now + 9, "m", now, rev}), "signature is invalid"},
		"no signature":  {parts[0] + "." + parts[1] + ".", "signature is invalid"},
		"another's rev": {sign(jwt.SigningMethodHS256, d.secret, claims{now + 9, "other", now, rev}), "token is of an earlier registration or password"},
		"no rev":        {sign(jwt.SigningMethodHS256, d.secret, claims{now + 9, "m", now, ""}), "token is of an earlier registration or password"},
		"nobody's":      {sign(jwt.SigningMethodHS256, d.secret, claims{now + 9, "nobody", now, rev}), "ent: machine not found"},
	} {
		if a := d.do("GET", "/v1/heartbeat", "", token(c.token)); a.status != 401 || a.body != `{"code":401,"message":"`+c.message+`"}` {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	d.do("GET", "/v1/heartbeat", "", token(good)).want(t, 200, "")
	d.do("GET", "/v1/heartbeat", "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "jwt", Value: good}) }).want(t, 200, "")
	d.clock.Advance(59 * time.Minute)
	if a := d.do("GET", "/v1/refresh_token", "", token(good)); a.status != 200 || !strings.Contains(a.body, `"expire":"2026-11-24T13:59:00Z"`) {
		t.Errorf("refresh: %d %s", a.status, a.body)
	}
	d.restart()
	d.do("GET", "/v1/heartbeat", "", token(good)).want(t, 200, "")
	if m, _ := d.registry.machine("m"); !m.LastHeartbeat.Equal(d.clock.Now()) {
		t.Errorf("heartbeat at %v", m.LastHeartbeat)
	}
	d.clock.Advance(time.Minute)
	if a := d.do("GET", "/v1/refresh_token", "", token(good)); a.status != 401 {
		t.Errorf("refresh of one that ended: %d", a.status)
	}
}

// TestReplay: a token is worth nothing once its machine is another one.
func TestReplay(t *testing.T) {
	for name, change := range map[string]func(d *desk){
		"deleted":       func(d *desk) { d.must(d.registry.DeleteMachine("m")) },
		"made again":    func(d *desk) { d.must(d.registry.DeleteMachine("m")); d.must(d.registry.AddMachine("m", "pw", false)) },
		"forced":        func(d *desk) { d.must(d.registry.AddMachine("m", "pw", true)) },
		"made at once":  func(d *desk) { d.clock.Advance(0); d.must(d.registry.AddMachine("m", "pw2", true)) },
		"deletes self":  nil,
		"secret change": func(d *desk) { d.secret = []byte(strings.Repeat("t", 64)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.must(d.registry.AddMachine("m", "pw", false))
			tok := d.login("m", "pw")
			d.do("GET", "/v1/heartbeat", "", token(tok)).want(t, 200, "")
			if change == nil {
				d.do("DELETE", "/v1/watchers/self", "", token(tok)).want(t, 204, "")
			} else {
				change(d)
			}
			for _, path := range []string{"/v1/heartbeat", "/v1/refresh_token"} {
				if a := d.do("GET", path, "", token(tok)); a.status != 401 {
					t.Errorf("%s: %d", path, a.status)
				}
			}
			if a := d.do("DELETE", "/v1/watchers/self", "", token(tok)); a.status != 401 {
				t.Errorf("deleting: %d", a.status)
			}
		})
	}
}

func TestLoginIsLimited(t *testing.T) {
	d := newDesk(t)
	d.must(d.registry.AddMachine("m", "pw", false))
	d.must(d.registry.AddMachine("n", "pw", false))
	bad := func(name, addr string) int {
		return d.do("POST", "/v1/watchers/login", `{"machine_id":"`+name+`","password":"x"}`, from(addr)).status
	}
	d.login("n", "pw")
	for range 3 * tryName.burst { // being right costs nothing
		d.login("n", "pw")
	}
	for i := range tryName.burst {
		if got := bad("m", "192.0.2.1:1"); got != 401 {
			t.Fatalf("try %d: %d", i, got)
		}
	}
	a := d.do("POST", "/v1/watchers/login", `{"machine_id":"m","password":"pw"}`)
	if a.status != 429 || a.header.Get("Retry-After") != "6" {
		t.Fatalf("one too many: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	if got := bad("m", "192.0.2.2:1"); got != 401 {
		t.Errorf("from elsewhere: %d", got)
	}
	d.login("n", "pw") // the others of the address go on
	if got := d.server.Stats().Limited; got != 1 {
		t.Errorf("%d limited", got)
	}
	d.clock.Advance(tryName.every)
	d.login("m", "pw")
	limited := 0
	for i := range 3 * tryAll.burst { // names that nobody has: the address has a limit
		if bad("x"+strings.Repeat("y", i), "192.0.2.9:1") == 429 {
			limited++
		}
	}
	if limited < tryAll.burst {
		t.Errorf("only %d tries of many names were refused", limited)
	}
	prefix := 0
	for range 3 * tryName.burst {
		if bad("m", "[2001:db8::"+strings.Repeat("1", 1)+"]:1") == 429 {
			prefix++
		}
	}
	if prefix == 0 || bad("m", "[2001:db8::ffff]:1") != 429 {
		t.Error("an IPv6 network is not one client")
	}
}

// TestKnownPasswordNeedsNoHashing: cscli logs in at every command.
func TestKnownPasswordNeedsNoHashing(t *testing.T) {
	d := newDesk(t)
	d.must(d.registry.AddMachine("m", "pw", false))
	d.login("m", "pw")
	d.server.doors.waiting.Store(maxHashing) // no place to wait for bcrypt
	d.login("m", "pw")
	wrong := `{"machine_id":"m","password":"pw2"}`
	if a := d.do("POST", "/v1/watchers/login", wrong); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("another password: %d %s", a.status, a.body)
	}
	d.must(d.registry.AddMachine("m", "pw2", true))
	if a := d.do("POST", "/v1/watchers/login", `{"machine_id":"m","password":"pw"}`); a.status != 503 {
		t.Errorf("the old password is still known: %d", a.status)
	}
	d.server.doors.waiting.Store(0)
	if a := d.do("POST", "/v1/watchers/login", `{"machine_id":"m","password":"pw"}`); a.status != 401 {
		t.Errorf("the old password: %d", a.status)
	}
	d.login("m", "pw2")
}

func FuzzLogin(f *testing.F) {
	for _, s := range []string{`{"machine_id":"m","password":"pw","scenarios":["a/b"]}`, `{"machine_id":"m","password":"no"}`, `[]`, `{"scenarios":{}}`} {
		f.Add(s)
	}
	d := fuzzDesk(f)
	f.Fuzz(func(t *testing.T, body string) {
		d := d.on(t)
		d.clock.Advance(time.Hour) // no limit is in the way
		if a := d.do("POST", "/v1/watchers/login", body); a.status != 401 && (a.status != 200 || !strings.Contains(body, "pw")) {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
