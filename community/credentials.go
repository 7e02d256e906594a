package community

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	// VendorURL is the Central API of CrowdSec.
	VendorURL = "https://api.crowdsec.net/"

	maxCredentials = 64 << 10
	loginLength    = 48
	passwordLength = 64
)

// ErrNotRegistered is in the chain when there are no credentials.
var ErrNotRegistered = errors.New("not registered with a Central API")

// Credentials are those of a node at a Central API. CrowdSec compatible: the file that
// online_client.credentials_path names, with these keys and no others.
type Credentials struct {
	URL      string `yaml:"url"`
	Login    string `yaml:"login"`
	Password string `yaml:"password"`
	// PapiURL is kept for the file's other readers and not used.
	PapiURL string `yaml:"papi_url,omitempty"`
}

// ReadCredentials reads a credentials file. A missing file, or one without url, login or
// password, is ErrNotRegistered; an unknown key and a bad URL are errors of their own.
func ReadCredentials(path string) (Credentials, error) {
	c, err := readCredentials(path)
	if err != nil {
		return Credentials{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

func readCredentials(path string) (Credentials, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Credentials{}, ErrNotRegistered
	}
	if err != nil {
		return Credentials{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return Credentials{}, err
	}
	if len(text) > maxCredentials {
		return Credentials{}, fmt.Errorf("more than %d bytes", maxCredentials)
	}
	return parseCredentials(text)
}

func parseCredentials(text []byte) (Credentials, error) {
	var c Credentials
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Credentials{}, fmt.Errorf("expected the keys url, login, password and papi_url: %w", err)
	}
	if c.URL == "" || c.Login == "" || c.Password == "" {
		return Credentials{}, fmt.Errorf("%w: url, login or password is missing", ErrNotRegistered)
	}
	var err error
	c.URL, err = rootURL(c.URL)
	return c, err
}

// rootURL checks the address of a server and gives it the slash at its end that people
// forget.
func rootURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("url %q: expected one such as %s", s, VendorURL)
	}
	if !strings.HasSuffix(s, "/") {
		s += "/"
	}
	return s, nil
}

// newCredentials makes a login and a password for a server.
func newCredentials(server string) Credentials {
	text := func() string { return rand.Text() + rand.Text() + rand.Text() } // 78 letters and digits
	return Credentials{URL: server, Login: text()[:loginLength], Password: text()[:passwordLength]}
}

// writeAside writes the file beside its place, for its owner alone; keep puts it there.
func (c *Credentials) writeAside(path string) (keep func() error, forget func(), err error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // 0600
	if err != nil {
		return nil, nil, err
	}
	_, err = f.Write(text)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	forget = func() { _ = os.Remove(f.Name()) }
	if err != nil {
		forget()
		return nil, nil, err
	}
	// A link fails where a file is already: nobody's credentials are overwritten.
	keep = func() error { defer forget(); return os.Link(f.Name(), path) }
	return keep, forget, nil
}
