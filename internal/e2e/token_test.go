package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/store"
)

// challenged is a site whose challenges may be solved at once.
const challenged = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		captcha {
			min_solve 1us
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello" 200
}
`

// suspect is a client that has to solve a challenge.
type suspect struct {
	n      *node
	ip     string
	cookie string
}

const suspectAgent = "Mozilla/5.0"

func (s suspect) do(method, path, body string) answer {
	s.n.t.Helper()
	req, err := http.NewRequest(method, s.n.url+path, strings.NewReader(body))
	if err != nil {
		s.n.t.Fatal(err)
	}
	for k, v := range map[string]string{"X-Forwarded-For": s.ip, "Accept": "text/html", "User-Agent": suspectAgent, "Cookie": s.cookie} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.n.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (s suspect) answer(token, digits string) answer {
	s.n.t.Helper()
	return s.do("POST", "/.rampart/verify", url.Values{"t": {token}, "a": {digits}}.Encode())
}

// TestTokens: a token that is forged, expired, used, or another's is worth nothing,
// and each is counted.
func TestTokens(t *testing.T) {
	n := startNode(t, challenged)
	n.stop()
	secret := n.secret(t)
	n.start()
	t.Run("worthless", func(t *testing.T) { n.worthless(t, secret) })
	t.Run("used", func(t *testing.T) { n.used(t, secret) })
}

// suspect makes the i-th client a suspect; each is in a network of its own.
func (n *node) suspect(i int) suspect {
	n.t.Helper()
	s := suspect{n: n, ip: fmt.Sprintf("203.0.%d.7", i)}
	if out, err := n.rampart("decisions", "add", s.ip, "--type", "captcha", "--duration", "1h"); err != nil {
		n.t.Fatal(err, out)
	}
	return s
}

// page asks for a challenge and returns its token and digits.
func (s suspect) page(secret []byte) (token, digits string) {
	s.n.t.Helper()
	a := s.do("GET", "/", "")
	if a.status != 403 {
		s.n.t.Fatalf("the suspect got %d", a.status)
	}
	token, err := testkit.ChallengeToken(a.body)
	if err != nil {
		s.n.t.Fatal(err)
	}
	if digits, err = testkit.Answer(secret, "127.0.0.1:"+s.n.port, a.body); err != nil {
		s.n.t.Fatal(err)
	}
	return token, digits
}

// refuses checks that an answer is not taken.
func (s suspect) refuses(what, token, digits string) {
	s.n.t.Helper()
	if a := s.answer(token, digits); a.status != 403 || a.header.Get("Set-Cookie") != "" {
		s.n.t.Errorf("%s: %d %v", what, a.status, a.header)
	}
}

// worthless tries tokens that no page of this node gave to this client in time.
func (n *node) worthless(t *testing.T, secret []byte) {
	host, other := "127.0.0.1:"+n.port, bytes.Repeat([]byte{7}, 32)
	for i, c := range []struct {
		name string
		// forge returns a token, and its digits if they are not those of the page.
		forge func(s suspect, token string) (string, string)
	}{
		{"noise", func(suspect, string) (string, string) { return strings.Repeat("QUJD", 40), "123456" }},
		{"nothing", func(suspect, string) (string, string) { return "", "123456" }},
		{"a changed bit", func(_ suspect, token string) (string, string) {
			b := []byte(token)
			b[len(b)/2] = 'A' + (b[len(b)/2]+1-'A')%26
			return string(b), ""
		}},
		{"cut off", func(_ suspect, token string) (string, string) { return token[:len(token)-4], "" }},
		{"another secret", func(s suspect, _ string) (string, string) { return minted(t, other, host, s.ip, time.Now()) }},
		{"another host", func(s suspect, _ string) (string, string) {
			return minted(t, secret, "other.example", s.ip, time.Now())
		}},
		{"another client", func(suspect, string) (string, string) { return minted(t, secret, host, "198.51.100.9", time.Now()) }},
		{"expired", func(s suspect, _ string) (string, string) {
			return minted(t, secret, host, s.ip, time.Now().Add(-20*time.Minute))
		}},
	} {
		s := n.suspect(i + 1)
		token, digits := s.page(secret)
		before := n.status().Challenge["expired"]
		forged, theirs := c.forge(s, token)
		if theirs != "" {
			digits = theirs
		}
		s.refuses(c.name, forged, digits)
		if after := n.status().Challenge["expired"]; after != before+1 {
			t.Errorf("%s: counted %d times", c.name, after-before)
		}
	}
}

// used tries tokens a second time, after a right and after a wrong answer.
func (n *node) used(t *testing.T, secret []byte) {
	s := n.suspect(100)
	token, digits := s.page(secret)
	a := s.answer(token, digits)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a.status != 303 || cookie == "" {
		t.Fatalf("the right answer: %d %v", a.status, a.header)
	}
	s.refuses("the token once more", token, digits)
	token, digits = s.page(secret)
	s.refuses("a wrong answer", token, strconv.Itoa((int(digits[0]-'0')+1)%10)+digits[1:])
	s.refuses("a second try", token, digits)
	if c := n.status().Challenge; c["passed"] != 1 || c["replayed"] != 2 || c["failed"] != 1 {
		t.Errorf("counted: %v", c)
	}
	if a := s.do("POST", "/.rampart/verify", "t="+strings.Repeat("x", 200<<10)); a.status != 413 {
		t.Errorf("a huge answer: %d", a.status)
	}
	n.checkCookie(s, n.suspect(101), cookie)
}

// checkCookie: the cookie of a solved challenge works for who solved it, and in no
// other hand or form. Hands are told apart by network, since people roam in theirs.
func (n *node) checkCookie(s, stranger suspect, cookie string) {
	n.t.Helper()
	name, value, _ := strings.Cut(cookie, "=")
	last := value[len(value)-2]
	flipped := value[:len(value)-2] + string('A'+(last+1-'A')%26) + value[len(value)-1:]
	for _, c := range []struct {
		who    suspect
		cookie string
		pass   bool
	}{{s, cookie, true}, {s, "", false}, {s, name + "=" + flipped, false}, {s, name + "=" + value[:20], false},
		{s, name + "=" + strings.Repeat("A", len(value)), false}, {stranger, cookie, false}} {
		c.who.cookie = c.cookie
		if a := c.who.do("GET", "/", ""); (a.status == 200) != c.pass {
			n.t.Errorf("%s with cookie %q got %d, want to pass: %v", c.who.ip, c.cookie, a.status, c.pass)
		}
	}
}

// secret reads the node's secret from its data directory; the node must be stopped.
func (n *node) secret(t *testing.T) []byte {
	t.Helper()
	db, err := store.Open(filepath.Join(n.dir, "state", "default"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	secret, err := db.Secret("node", 32)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// minted is a token as a node with this secret would have made it, and its digits.
func minted(t *testing.T, secret []byte, host, client string, at time.Time) (token, digits string) {
	t.Helper()
	g, err := captcha.New(captcha.Options{Secret: secret, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://"+host+"/", nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("User-Agent", suspectAgent)
	w := httptest.NewRecorder()
	g.Intercept(w, r, captcha.Visitor{Client: netip.MustParseAddr(client), Host: host, DecisionID: 1, DecisionCreated: at})
	if token, err = testkit.ChallengeToken(w.Body.String()); err != nil {
		t.Fatal(err)
	}
	if digits, err = testkit.Answer(secret, host, w.Body.String()); err != nil {
		t.Fatal(err)
	}
	return token, digits
}
