package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxCredentials bounds a file of credentials, in bytes.
const maxCredentials = 64 << 10

// credentials are what an agent or cscli logs in with.
// CrowdSec compatible: the keys of local_api_credentials.yaml.
type credentials struct {
	URL      string `yaml:"url"` // of the Local API; a path is that of a unix socket
	Login    string `yaml:"login,omitempty"`
	Password string `yaml:"password,omitempty"`
	CA       string `yaml:"ca_cert_path,omitempty"`
	Cert     string `yaml:"cert_path,omitempty"`
	Key      string `yaml:"key_path,omitempty"`
}

// readCredentials reads a file, and over it FILE.local where that is. ${NAME} stands
// for a variable of the environment. CrowdSec compatible: both.
func readCredentials(path string) (c credentials, err error) {
	for _, name := range []string{path, path + ".local"} {
		text, err := readShort(name)
		if errors.Is(err, fs.ErrNotExist) && name != path {
			continue
		}
		if err == nil {
			err = yaml.Unmarshal([]byte(expanded(string(text))), &c)
		}
		if err != nil {
			return c, fmt.Errorf("reading credentials from %s: %w", name, err)
		}
	}
	if c.URL == "" {
		return c, fmt.Errorf("reading credentials from %s: there is no url in it; expected url, login and password", path)
	}
	return c, nil
}

func readShort(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxCredentials))
}

func (c *credentials) text() ([]byte, error) { return yaml.Marshal(c) }

// newCredentialsFile opens a file for credentials.
func newCredentialsFile(path string, force bool) (*ownFile, error) {
	return newOwnFile(path, force, "--force replaces it")
}

// variable is a variable of the environment as files name it.
var variable = regexp.MustCompile(`\$\{\w+\}|\$\w+`)

// expanded puts variables of the environment in; of a password that looks like one that
// there is not nothing is changed. CrowdSec compatible: that, too.
func expanded(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := os.LookupEnv(strings.Trim(name, "${}")); ok {
			return value
		}
		return name
	})
}
