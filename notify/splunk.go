package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// splunkSpec is an HTTP event collector of Splunk. Upstream never verifies its
// certificate and so gives the token to anybody; here that is a choice.
type splunkSpec struct {
	URL                 string `yaml:"url"`
	Token               string `yaml:"token"`
	SkipTLSVerification bool   `yaml:"skip_tls_verification"`
	CACertPath          string `yaml:"ca_cert_path"`

	pem [][]byte // as that of httpSpec
}

func (s *splunkSpec) patience() time.Duration        { return 0 }
func (s *splunkSpec) plain(d *Digest) (string, bool) { return d.String(), true }

func (s *splunkSpec) dial() (sender, error) {
	if s.Token == "" {
		return nil, fmt.Errorf("token: expected that of the event collector")
	}
	at := &httpSpec{URL: s.URL, Method: http.MethodPost, SkipTLSVerification: s.SkipTLSVerification, CACertPath: s.CACertPath,
		Headers: map[string]string{"Authorization": "Splunk " + s.Token}}
	p, err := newPoster(at, func(text string) ([]byte, http.Header, error) {
		body, err := json.Marshal(map[string]string{"event": text})
		return body, jsonHeader(), err
	})
	s.pem = at.pem
	return p, err
}
