package localapi

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// authority signs certificates for a test.
type authority struct {
	testing.TB
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{TB: t, dir: t.TempDir()}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// make signs a certificate, its own one if there is none yet, for a day around now
// unless it says otherwise.
func (a *authority) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	a.serial++
	c.SerialNumber = big.NewInt(a.serial)
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	a.must(err)
	made, err := x509.ParseCertificate(der)
	a.must(err)
	return made, key
}

func (a *authority) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *authority) write(name, typ string, der []byte) string {
	a.Helper()
	path := filepath.Join(a.dir, name)
	a.must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600))
	return path
}

// server writes a listener's certificate for 127.0.0.1.
func (a *authority) server(name string) TLSConfig {
	a.Helper()
	cert, key := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	return TLSConfig{Cert: a.write("server.pem", "CERTIFICATE", cert.Raw), Key: a.write("server.key", "PRIVATE KEY", der),
		CA: filepath.Join(a.dir, "ca.pem")}
}

// client makes a client's certificate.
func (a *authority) client(cn, ou string, end time.Time) tls.Certificate {
	a.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: cn, OrganizationalUnit: []string{ou}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if !end.IsZero() {
		c.NotBefore, c.NotAfter = end.Add(-24*time.Hour), end
	}
	cert, key := a.make(c)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// revoke writes a list that ends a while from now.
func (a *authority) revoke(name string, ends time.Duration, certs ...tls.Certificate) string {
	a.Helper()
	a.serial++
	list := &x509.RevocationList{Number: big.NewInt(a.serial), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: time.Now().Add(ends)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	a.must(err)
	return a.write(name, "X509 CRL", der)
}

// trust is a client's side, with certificates or none.
func (a *authority) trust(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: certs, MinVersion: tls.VersionTLS12}
}

func overTLS(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }

// TestClientCertificates: only a certificate that was verified, is of the right unit,
// valid and not revoked lets anyone in.
func TestClientCertificates(t *testing.T) {
	d := newDesk(t)
	d.clock.Advance(time.Since(d.clock.Now()))
	d.server.Use(Config{AgentOUs: []string{"agent-ou"}, BouncerOUs: []string{"bouncer-ou", "other-ou"}})
	_, r := d.seen()
	d.with(r)
	k, err := d.registry.AddBouncer("fw", "")
	d.must(err)
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "ca")
	revoked := ca.client("gone", "bouncer-ou", time.Time{})
	c := ca.server("one")
	c.CRL = ca.revoke("crl.pem", time.Hour, revoked)
	l := d.listen(ListenConfig{Address: "127.0.0.1:0", TLS: c})
	url := "https://" + l.Addrs()[0].String()
	const refusedShake = 0
	for _, one := range []struct {
		name  string
		certs []tls.Certificate
		asks  []ask
		want  int
	}{
		{"good", []tls.Certificate{ca.client("b", "bouncer-ou", time.Time{})}, nil, 200},
		{"another unit", []tls.Certificate{ca.client("b2", "other-ou", time.Time{})}, nil, 200},
		{"wrong unit", []tls.Certificate{ca.client("a", "agent-ou", time.Time{})}, nil, 403},
		{"no unit", []tls.Certificate{ca.client("a", "", time.Time{})}, nil, 403},
		{"no name", []tls.Certificate{ca.client("", "bouncer-ou", time.Time{})}, nil, 403},
		{"revoked", []tls.Certificate{revoked}, nil, 403},
		{"revoked, with a key", []tls.Certificate{revoked}, []ask{key(k)}, 200},
		{"no certificate", nil, nil, 403},
		{"no certificate, with a key", nil, []ask{key(k)}, 200},
		{"wrong key", []tls.Certificate{ca.client("b", "bouncer-ou", time.Time{})}, []ask{key("x")}, 403},
		{"expired", []tls.Certificate{ca.client("b", "bouncer-ou", time.Now().Add(-time.Hour))}, nil, refusedShake},
		{"not yet", []tls.Certificate{ca.client("b", "bouncer-ou", time.Now().Add(48*time.Hour))}, nil, refusedShake},
		{"another authority", []tls.Certificate{stranger.client("b", "bouncer-ou", time.Time{})}, nil, refusedShake},
	} {
		proto, status, body, err := d.get(client(t, overTLS, "", "", ca.trust(one.certs...)), "GET", url+"/t", one.asks...)
		if status != one.want || (err != nil) != (one.want == refusedShake) || one.want == 403 && body != forbidden {
			t.Errorf("%s: %d %q %v", one.name, status, body, err)
		}
		if err == nil && proto != "HTTP/2.0" {
			t.Errorf("%s: %s", one.name, proto)
		}
	}
	if b := d.row("b@127.0.0.1"); b.Auth != AuthTLS || !b.AutoCreated || b.Base != "b" {
		t.Errorf("%+v", b)
	}
	d.must(d.registry.putBouncer(Bouncer{Name: "taken@127.0.0.1", Auth: AuthKey, KeyHash: hashKey("q"), Created: d.clock.Now()}))
	taken := client(t, overTLS, "", "", ca.trust(ca.client("taken", "bouncer-ou", time.Time{})))
	if _, status, _, err := d.get(taken, "GET", url+"/t"); status != 403 || err != nil {
		t.Errorf("a row of a key, with a certificate: %d %v", status, err)
	}
	short := client(t, overTLS, "", "", ca.trust(ca.client("short", "bouncer-ou", time.Now().Add(time.Hour))))
	if _, status, _, err := d.get(short, "GET", url+"/t"); status != 200 || err != nil {
		t.Errorf("before its end: %d %v", status, err)
	}
	d.clock.Advance(2 * time.Hour)
	if _, status, _, err := d.get(short, "GET", url+"/t"); status != 403 || err != nil {
		t.Errorf("on a connection that outlived the certificate: %d %v", status, err)
	}
}

func TestCertificateLogin(t *testing.T) {
	d := newDesk(t)
	d.clock.Advance(time.Since(d.clock.Now()))
	d.server.Use(Config{AgentOUs: []string{"agent-ou"}})
	ca := newAuthority(t, "ca")
	l := d.listen(ListenConfig{Address: "127.0.0.1:0", TLS: ca.server("one")})
	url := "https://" + l.Addrs()[0].String() + "/v1/watchers/login"
	post := func(c *http.Client, body string) (int, string) {
		t.Helper()
		res, err := c.Post(url, "application/json", strings.NewReader(body))
		d.must(err)
		defer func() { _ = res.Body.Close() }()
		var b bytes.Buffer
		_, err = b.ReadFrom(res.Body)
		d.must(err)
		return res.StatusCode, b.String()
	}
	good := client(t, overTLS, "", "", ca.trust(ca.client("a", "agent-ou", time.Time{})))
	if status, body := post(good, `{"scenarios":["x/y"]}`); status != 200 || !strings.Contains(body, `"token"`) {
		t.Errorf("%d %s", status, body)
	}
	m, ok := d.registry.machine("a@127.0.0.1")
	if !ok || m.Auth != AuthTLS || !m.Validated || fmt.Sprint(m.Scenarios) != "[x/y]" {
		t.Errorf("%+v", m)
	}
	if status, body := post(good, ""); status != 401 || body != `{"code":401,"message":"missing scenarios list for machine a: EOF"}` {
		t.Errorf("no body: %d %s", status, body)
	}
	wrong := client(t, overTLS, "", "", ca.trust(ca.client("a", "bouncer-ou", time.Time{})))
	if status, body := post(wrong, `{"scenarios":[]}`); status != 401 || body != `{"code":401,"message":"access forbidden"}` {
		t.Errorf("wrong unit: %d %s", status, body)
	}
	d.must(d.registry.AddMachine("p@127.0.0.1", "pw", false))
	taken := client(t, overTLS, "", "", ca.trust(ca.client("p", "agent-ou", time.Time{})))
	if status, body := post(taken, `{"scenarios":[]}`); status != 401 || !strings.Contains(body, "configured to use password") {
		t.Errorf("the row of a password: %d %s", status, body)
	}
	if status, body := post(taken, `{"machine_id":"p@127.0.0.1","password":"pw"}`); status != 200 {
		t.Errorf("a password beside a certificate: %d %s", status, body)
	}
}

// TestVerificationModes: a certificate that nobody verified is none.
func TestVerificationModes(t *testing.T) {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	good := ca.client("b", "bouncer-ou", time.Time{})
	strange := stranger.client("b", "bouncer-ou", time.Time{})
	show := func(c tls.Certificate) *tls.Config { // whatever the server asks for
		conf := ca.trust()
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
		return conf
	}
	for mode, want := range map[string][3]int{ // with a good one, a stranger's, none
		"NoClientCert":               {403, 403, 403},
		"RequestClientCert":          {403, 403, 403},
		"RequireAnyClientCert":       {403, 403, 0},
		"VerifyClientCertIfGiven":    {200, 0, 403},
		"RequireAndVerifyClientCert": {200, 0, 0},
		"":                           {200, 0, 403},
	} {
		t.Run(mode, func(t *testing.T) {
			d := newDesk(t)
			d.clock.Advance(time.Since(d.clock.Now()))
			d.server.Use(Config{BouncerOUs: []string{"bouncer-ou"}})
			_, r := d.seen()
			d.with(r)
			c := ca.server("one")
			c.ClientAuth = mode
			url := "https://" + d.listen(ListenConfig{Address: "127.0.0.1:0", TLS: c}).Addrs()[0].String() + "/t"
			for i, conf := range []*tls.Config{show(good), show(strange), ca.trust()} {
				_, status, _, err := d.get(client(t, overTLS, "", "", conf), "GET", url)
				if status != want[i] || (err == nil) != (want[i] != 0) {
					t.Errorf("case %d: %d %v, want %d", i, status, err, want[i])
				}
			}
		})
	}
	c := ca.server("one")
	c.CA = "" // nobody signs clients' certificates: certainly not those the system trusts
	f, err := openTLSFiles(c, time.Now, zap.NewNop())
	if err != nil || f.current().config.ClientCAs == nil {
		t.Errorf("%v: the system's authorities would be asked", err)
	}
}

// TestCertificatesAreReadAgain: a new certificate and a new list of revoked ones hold
// without a restart, on connections that are open too; broken ones change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	c := ca.server("one")
	cert := ca.client("b", "bouncer-ou", time.Time{})
	c.CRL = ca.revoke("crl.pem", time.Hour)
	now := time.Now()
	f, err := openTLSFiles(c, func() time.Time { return now }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	later := func() *tlsState {
		now = now.Add(2 * lookEvery)
		return f.current()
	}
	name := func(s *tlsState) string {
		leaf, err := x509.ParseCertificate(s.config.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	touch := func() { // file systems may tell seconds only
		now := now.Add(time.Hour)
		for _, path := range []string{c.Cert, c.Key, c.CRL} {
			if err := os.Chtimes(path, now, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := &revocations{f}
	chain := []*x509.Certificate{cert.Leaf, ca.cert}
	if list.revokes(chain) || name(later()) != "one" {
		t.Fatal("the start is wrong")
	}
	ca.server("two")
	ca.revoke("crl.pem", -time.Hour, cert) // out of date, and used all the same
	touch()
	if name(later()) != "two" || !list.revokes(chain) {
		t.Error("what is new does not hold")
	}
	for what, spoil := range map[string]func(){
		"junk":             func() { ca.must(os.WriteFile(c.CRL, []byte("junk"), 0o600)) },
		"another's list":   func() { ca.must(os.Rename(stranger.revoke("crl.pem", time.Hour), c.CRL)) },
		"no list":          func() { ca.must(os.WriteFile(c.CRL, nil, 0o600)) },
		"cut certificate":  func() { ca.must(os.WriteFile(c.Cert, []byte("-----BEGIN"), 0o600)) },
		"certificate gone": func() { ca.must(os.Remove(c.Cert)) },
	} {
		spoil()
		now = now.Add(time.Hour)
		if name(later()) != "two" || !list.revokes(chain) {
			t.Errorf("%s: the former state was left", what)
		}
	}
	if _, err := openTLSFiles(c, time.Now, zap.NewNop()); err == nil {
		t.Error("a start with broken files")
	}
	if (*revocations)(nil).revokes(chain) {
		t.Error("no list revokes something")
	}
}

// TestSiteCertificates: behind a site there is no listener of ours; the site's own
// verification counts, if the chain is there.
func TestSiteCertificates(t *testing.T) {
	d := newDesk(t)
	d.clock.Advance(time.Since(d.clock.Now()))
	d.server.Use(Config{BouncerOUs: []string{"bouncer-ou"}})
	got, r := d.seen()
	d.with(r)
	leaf := newAuthority(t, "ca").client("b", "bouncer-ou", time.Time{}).Leaf
	for verified, want := range map[bool]int{true: 200, false: 403} {
		req := httptest.NewRequest("GET", "/t", nil)
		req.RemoteAddr = "10.0.0.9:1"
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		if verified {
			req.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
		}
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("verified %t: %d", verified, w.Code)
		}
	}
	if got.Name != "b@10.0.0.9" {
		t.Errorf("row %q", got.Name)
	}
}
