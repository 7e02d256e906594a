package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

const sentinelPath = "/api/logs"

// sentinelSpec is the data collector of Azure's Log Analytics, which takes JSON.
type sentinelSpec struct {
	CustomerID string `yaml:"customer_id"`
	SharedKey  string `yaml:"shared_key"`
	LogType    string `yaml:"log_type"`
}

// workspace is what may stand in the host's name and in a header.
var workspace = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

func (s *sentinelSpec) patience() time.Duration      { return 0 }
func (s *sentinelSpec) plain(*Digest) (string, bool) { return "", false }

func (s *sentinelSpec) dial() (sender, error) {
	key, err := base64.StdEncoding.DecodeString(s.SharedKey)
	switch {
	case !workspace.MatchString(s.CustomerID):
		return nil, fmt.Errorf("customer_id: expected the id of a workspace")
	case !workspace.MatchString(s.LogType):
		return nil, fmt.Errorf("log_type: expected a name of letters, digits and _")
	case err != nil || len(key) == 0:
		return nil, fmt.Errorf("shared_key: expected base64")
	}
	at := &httpSpec{Method: http.MethodPost, URL: "https://" + s.CustomerID + ".ods.opinsights.azure.com" + sentinelPath + "?api-version=2016-04-01"}
	return newPoster(at, func(text string) ([]byte, http.Header, error) { return s.sign(text, key, time.Now()) })
}

// sign makes the headers that prove the key, for body and instant.
func (s *sentinelSpec) sign(text string, key []byte, now time.Time) ([]byte, http.Header, error) {
	if !json.Valid([]byte(text)) {
		return nil, nil, fmt.Errorf("the template makes no valid JSON, and the service takes nothing else")
	}
	date := now.UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "POST\n%d\napplication/json\nx-ms-date:%s\n%s", len(text), date, sentinelPath)
	h := jsonHeader()
	h.Set("Log-Type", s.LogType)
	h.Set("X-Ms-Date", date)
	h.Set("Authorization", "SharedKey "+s.CustomerID+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return []byte(text), h, nil
}
