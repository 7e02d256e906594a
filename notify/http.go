package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer    = 64 << 10 // bytes of an answer that are read
	maxQuoted    = 200      // of them that an error shows
	maxRedirects = 5
)

// httpSpec is a receiver that takes requests.
type httpSpec struct {
	URL                 string            `yaml:"url"`
	Method              string            `yaml:"method"`
	Headers             map[string]string `yaml:"headers"`
	SkipTLSVerification bool              `yaml:"skip_tls_verification"`
	UnixSocket          string            `yaml:"unix_socket"`
	CertPath            string            `yaml:"cert_path"`
	KeyPath             string            `yaml:"key_path"`
	CACertPath          string            `yaml:"ca_cert_path"`

	pem [][]byte // what those files hold, so that renewed ones make another receiver
}

func (s *httpSpec) patience() time.Duration      { return 0 }
func (s *httpSpec) plain(*Digest) (string, bool) { return "", false }

func (s *httpSpec) dial() (sender, error) {
	return newPoster(s, func(text string) ([]byte, http.Header, error) { return []byte(text), nil, nil })
}

// poster sends texts as requests. pack makes body and further headers of a text.
type poster struct {
	client  *http.Client
	method  string
	url     string
	headers map[string]string
	pack    func(text string) ([]byte, http.Header, error)
}

func newPoster(s *httpSpec, pack func(string) ([]byte, http.Header, error)) (*poster, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" && s.UnixSocket == "" {
		return nil, fmt.Errorf("url: expected one such as https://host/path") // its text may hold a secret
	}
	if u.Host == "" {
		u.Host = "localhost"
	}
	if _, err := http.NewRequest(s.Method, "/", nil); err != nil || s.Method == "" {
		return nil, fmt.Errorf("method: %q is none", s.Method)
	}
	for name, value := range s.Headers {
		if name == "" || strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("headers: %q: name or value cannot be sent", name)
		}
	}
	tlsConfig, err := s.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
		MaxIdleConns: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer}
	if socket := s.UnixSocket; socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	return &poster{client: &http.Client{Transport: transport, CheckRedirect: sameRequest}, method: s.Method, url: u.String(), headers: s.Headers, pack: pack}, nil
}

// sameRequest follows redirects that carry the same request to the same host. Another
// host is to see no key in a header, and a page that a GET finds there has taken no
// message; such a redirect is the answer, which is no success.
func sameRequest(req *http.Request, via []*http.Request) error {
	from := via[0]
	if len(via) > maxRedirects || req.Method != from.Method || req.URL.Hostname() != from.URL.Hostname() ||
		from.URL.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// tls reads the certificates.
func (s *httpSpec) tls() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: s.SkipTLSVerification}
	if s.CACertPath != "" {
		pem, err := os.ReadFile(s.CACertPath)
		if err != nil {
			return nil, fmt.Errorf("ca_cert_path: %w", err)
		}
		s.pem = append(s.pem, pem)
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_cert_path: no certificate in %s", s.CACertPath)
		}
	}
	if (s.CertPath == "") != (s.KeyPath == "") {
		return nil, fmt.Errorf("cert_path and key_path belong together: give both")
	}
	if s.CertPath != "" {
		pair, err := tls.LoadX509KeyPair(s.CertPath, s.KeyPath)
		if err != nil {
			return nil, fmt.Errorf("cert_path: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
		s.pem = append(s.pem, pair.Certificate...)
	}
	return c, nil
}

func (p *poster) close() { p.client.CloseIdleConnections() }

func (p *poster) send(ctx context.Context, text string) error {
	body, extra, err := p.pack(text)
	if err != nil {
		return permanentError{err}
	}
	req, err := http.NewRequestWithContext(ctx, p.method, p.url, bytes.NewReader(body))
	if err != nil {
		return permanentError{errors.New("making the request")}
	}
	req.Header.Set("User-Agent", "rampart")
	for name, value := range p.headers {
		req.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
	}
	for name := range extra {
		req.Header[name] = extra[name]
	}
	res, err := p.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // whose text has no URL: those of chats hold the secret
		}
		return fmt.Errorf("asking %s: %w", req.URL.Hostname(), err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return judge(res, answer)
}

// judge tells whether an answer is a success, and whether another try can be one.
// CrowdSec sends once whatever the answer; here what the server may get over is
// tried again.
func judge(res *http.Response, answer []byte) error {
	if res.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("%s answers %d: %.*q", res.Request.URL.Hostname(), res.StatusCode, maxQuoted, answer)
	switch {
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return laterError{err, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
	case res.StatusCode == http.StatusRequestTimeout, res.StatusCode >= 500:
		return err
	}
	return permanentError{err}
}
