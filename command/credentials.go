package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
			err = yaml.Unmarshal([]byte(os.ExpandEnv(string(text))), &c)
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

// credentialsFile is a file that takes the place of path when it is written.
type credentialsFile struct {
	path string
	f    *os.File
}

// newCredentialsFile opens the file for its owner alone. One that is there is replaced
// with force only.
func newCredentialsFile(path string, force bool) (*credentialsFile, error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, fmt.Errorf("%s is there already; --force replaces it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // of mode 0600
	if err != nil {
		return nil, fmt.Errorf("writing credentials: %w", err)
	}
	return &credentialsFile{path, f}, nil
}

func (w *credentialsFile) write(c credentials) error {
	text, err := c.text()
	if err == nil {
		_, err = w.f.Write(text)
	}
	if err = errors.Join(err, w.f.Sync(), w.f.Close()); err == nil {
		err = os.Rename(w.f.Name(), w.path)
	}
	if err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	w.f = nil
	return nil
}

// close takes away what was not written.
func (w *credentialsFile) close() {
	if w.f != nil {
		_ = w.f.Close() // may be closed
		_ = os.Remove(w.f.Name())
	}
}
