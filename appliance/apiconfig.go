package appliance

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rampart-edge/rampart/localapi"
)

// APIConfig serves the Local API that CrowdSec's bouncers, agents and cscli speak.
// Without it nothing is served, neither at an address of its own nor under a site.
type APIConfig struct {
	// Listen is the address, HOST:PORT. Default: 127.0.0.1:8080, or none where there is
	// a socket.
	Listen string `json:"listen,omitempty"`
	// Socket is the path of a unix socket. Who may write to it has the privileges of
	// loopback: deleting alerts, registering.
	Socket string `json:"socket,omitempty"`
	// Off: no address and no socket; only handlers rampart_lapi of sites serve it.
	Off bool `json:"off,omitempty"`
	// TLS is for the address. Default: none.
	TLS *APITLS `json:"tls,omitempty"`
	// AgentOUs and BouncerOUs are the organisational units (OU) of client certificates
	// that agents and bouncers may log in with. Default: none.
	AgentOUs   []string `json:"agents_ou,omitempty"`
	BouncerOUs []string `json:"bouncers_ou,omitempty"`
	// TrustedIPs are addresses and networks whose agents may delete alerts, beside
	// loopback.
	TrustedIPs []string `json:"trusted_ips,omitempty"`
	// TrustedProxies are addresses and networks of proxies before the address whose
	// X-Forwarded-For is believed. Default: nobody's.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
	// LocalRegistration: only loopback and the socket may register agents.
	LocalRegistration bool `json:"local_registration,omitempty"`
	// AutoRegistration validates agents that come with its token.
	AutoRegistration *AutoRegistration `json:"auto_registration,omitempty"`
	// Autodelete says when bouncers and agents that nobody uses are forgotten.
	Autodelete Autodelete `json:"autodelete,omitzero"`
}

// APITLS are the files of the API's certificate and of those of its clients, in PEM.
// They are read again when they change.
type APITLS struct {
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
	// ClientCA signs the certificates of clients. Default: none is believed.
	ClientCA string `json:"client_ca,omitempty"`
	// ClientVerification is NoClientCert, RequestClientCert, RequireAnyClientCert,
	// VerifyClientCertIfGiven or RequireAndVerifyClientCert, as in CrowdSec. Default:
	// VerifyClientCertIfGiven.
	ClientVerification string `json:"client_verification,omitempty"`
	// CRL lists certificates that are revoked.
	CRL string `json:"crl,omitempty"`
}

// AutoRegistration lets agents validate themselves.
type AutoRegistration struct {
	// Token has at least 32 characters. Write it as {env.NAME} or {file./PATH}.
	Token string `json:"token"`
	// Ranges are the addresses and networks it counts from.
	Ranges []string `json:"ranges"`
}

// Autodelete are the times without a sign of life after which a row is forgotten,
// zero for never.
type Autodelete struct {
	// BouncerKey is for bouncers with a key, BouncerCert for those with a certificate.
	BouncerKey  Duration `json:"bouncer_key,omitempty"`
	BouncerCert Duration `json:"bouncer_cert,omitempty"`
	// MachinePassword is for agents with a password, MachineCert for those with a
	// certificate.
	MachinePassword Duration `json:"machine_password,omitempty"`
	MachineCert     Duration `json:"machine_cert,omitempty"`
	// Unvalidated is for agents that registered and that nobody has validated since.
	Unvalidated Duration `json:"unvalidated,omitempty"`
}

const (
	defaultAPI   = "127.0.0.1:8080"
	minAutoToken = 32
)

// apiSettings is what an APIConfig compiles to.
type apiSettings struct {
	listen localapi.ListenConfig // zero: only sites serve it
	serve  localapi.Config
}

// listens reports whether the API has an address or a socket of its own.
func (s *apiSettings) listens() bool { return s != nil && s.listen != localapi.ListenConfig{} }

// compileAPI checks the block. It reads the files of certificates.
func (s *Settings) compileAPI() error {
	c := s.config.API
	if c == nil {
		return nil
	}
	var errs []error
	prefixes := func(what string, texts []string) (ps []netip.Prefix) {
		for _, text := range texts {
			p, err := ParsePrefix(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("api %s: %w", what, err))
			}
			ps = append(ps, p)
		}
		return ps
	}
	s.api = &apiSettings{serve: localapi.Config{
		TrustedIPs: prefixes("trusted_ips", c.TrustedIPs), ForwardedFrom: prefixes("trusted_proxies", c.TrustedProxies),
		LocalRegistration: c.LocalRegistration, AgentOUs: c.AgentOUs, BouncerOUs: c.BouncerOUs,
		Idle: localapi.Idle{BouncerKey: time.Duration(c.Autodelete.BouncerKey), BouncerCert: time.Duration(c.Autodelete.BouncerCert),
			MachinePassword: time.Duration(c.Autodelete.MachinePassword), MachineCert: time.Duration(c.Autodelete.MachineCert),
			Unvalidated: time.Duration(c.Autodelete.Unvalidated)},
	}}
	if r := c.AutoRegistration; r != nil {
		s.api.serve.AutoToken, s.api.serve.AutoRanges = r.Token, prefixes("auto_registration", r.Ranges)
	}
	if !c.Off {
		s.api.listen = localapi.ListenConfig{Address: c.Listen, Socket: c.Socket}
		if c.Listen == "" && c.Socket == "" {
			s.api.listen.Address = defaultAPI
		}
		if t := c.TLS; t != nil {
			s.api.listen.TLS = localapi.TLSConfig{Cert: t.Cert, Key: t.Key, CA: t.ClientCA, CRL: t.CRL, ClientAuth: t.ClientVerification}
		}
	}
	return errors.Join(append(errs, c.check(), s.api.check())...)
}

// check reports what contradicts itself. The token is in no error.
func (c *APIConfig) check() error {
	var errs []error
	if c.Off && (c.Listen != "" || c.Socket != "" || c.TLS != nil) {
		errs = append(errs, errors.New("api off takes no listen, socket or tls: nothing of its own is served"))
	}
	if c.Socket != "" && !filepath.IsAbs(c.Socket) {
		errs = append(errs, fmt.Errorf("api socket %q is no absolute path", c.Socket))
	}
	if t := c.TLS; t != nil {
		switch {
		case t.Cert == "" || t.Key == "":
			errs = append(errs, errors.New("api tls needs both a certificate and its key"))
		case c.Listen == "" && c.Socket != "":
			errs = append(errs, errors.New("api tls does not belong to a socket; give an address with listen"))
		case t.CRL != "" && t.ClientCA == "":
			errs = append(errs, errors.New("api crl needs client_ca: it is the authority that revokes"))
		}
	}
	if (len(c.AgentOUs) > 0 || len(c.BouncerOUs) > 0) && (c.TLS == nil || c.TLS.ClientCA == "") {
		errs = append(errs, errors.New("api agents_ou and bouncers_ou need tls and client_ca: only certificates that were verified let anyone in"))
	}
	if r := c.AutoRegistration; r != nil {
		if len(r.Token) < minAutoToken {
			errs = append(errs, fmt.Errorf("api auto_registration token has %d characters; at least %d are needed", len(r.Token), minAutoToken))
		}
		if len(r.Ranges) == 0 {
			errs = append(errs, errors.New("api auto_registration needs the networks that agents may come from"))
		}
	}
	for name, d := range map[string]Duration{"bouncer_key": c.Autodelete.BouncerKey, "bouncer_cert": c.Autodelete.BouncerCert,
		"machine_password": c.Autodelete.MachinePassword, "machine_cert": c.Autodelete.MachineCert, "unvalidated": c.Autodelete.Unvalidated} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("api autodelete %s must not be negative", name))
		}
	}
	return errors.Join(errs...)
}

// check looks at what can be looked at before anything is opened.
func (s *apiSettings) check() error {
	var errs []error
	if a := s.listen.Address; a != "" {
		_, port, err := net.SplitHostPort(a)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			errs = append(errs, fmt.Errorf("api listen %q is no address; write HOST:PORT, such as 127.0.0.1:8080", a))
		}
	}
	if t := s.listen.TLS; t.Cert != "" && t.Key != "" {
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			errs = append(errs, fmt.Errorf("api tls: reading certificate %s with key %s: %w", t.Cert, t.Key, err))
		}
	}
	return errors.Join(errs...)
}
