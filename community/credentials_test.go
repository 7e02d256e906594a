package community

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct{ text, url, err string }{
		"whole":           {"url: https://a.example/\nlogin: l\npassword: p\npapi_url: https://b.example/\n", "https://a.example/", ""},
		"without a slash": {"url: http://a.example:9000\nlogin: l\npassword: p\n", "http://a.example:9000/", ""},
		"unknown key":     {"url: https://a.example/\nlogin: l\npassword: p\ntoken: x\n", "", "token"},
		"no password":     {"url: https://a.example/\nlogin: l\n", "", "is missing"},
		"empty":           {"", "", "is missing"},
		"other protocol":  {"url: ftp://a.example/\nlogin: l\npassword: p\n", "", "expected one such as"},
		"a query":         {"url: https://a.example/?x=1\nlogin: l\npassword: p\n", "", "expected one such as"},
		"no mapping":      {"- a\n", "", "expected the keys"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.yaml")
			must(t, os.WriteFile(path, []byte(c.text), 0o600))
			got, err := ReadCredentials(path)
			if c.err == "" && (err != nil || got.URL != c.url) {
				t.Errorf("got %q, %v", got.URL, err)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want something about %q", err, c.err)
			}
			if missing := strings.Contains(c.err, "missing"); errors.Is(err, ErrNotRegistered) != missing {
				t.Errorf("not registered: %v", err)
			}
		})
	}
	if _, err := ReadCredentials(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("no file: %v", err)
	}
}

func TestRegister(t *testing.T) {
	server := capitest.Start(t, nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	server.FailNext("/", capitest.Unavailable)
	if _, err := Register(t.Context(), Options{Version: "1.2"}, server.URL, path); err == nil {
		t.Fatal("registered with a server that was not there")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Fatalf("a failure leaves %v", left)
	}
	c, err := Register(t.Context(), Options{Version: "1.2"}, strings.TrimSuffix(server.URL, "/"), path)
	must(t, err)
	if !regexp.MustCompile(`^[A-Za-z0-9]{48}$`).MatchString(c.Login) || !regexp.MustCompile(`^[A-Za-z0-9]{64}$`).MatchString(c.Password) {
		t.Errorf("login %q, password %q", c.Login, c.Password)
	}
	if got := server.Machines(); len(got) != 1 || got[0] != c.Login {
		t.Errorf("the server knows %q", got)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if again, err := ReadCredentials(path); err != nil || again != c {
		t.Errorf("the file has %+v, %v", again, err)
	}
	if _, err := Register(t.Context(), Options{}, server.URL, path); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("over credentials that are there: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("there is %v", left)
	}
}

func TestRegisterUsesIt(t *testing.T) {
	d := newDesk(t)
	must(t, os.Remove(d.config.Credentials))
	must(t, d.client.Use(d.config))
	if s := d.client.Status(); s.Enabled || !strings.Contains(s.Off, "not registered") {
		t.Errorf("without credentials: %+v", s)
	}
	if err := d.client.Pull(t.Context()); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("pulling: %v", err)
	}
	login, err := d.client.Register(t.Context(), d.server.URL)
	must(t, err)
	must(t, d.client.Check(t.Context()))
	if s := d.client.Status(); !s.Enabled || s.Login != login || !s.Reachable {
		t.Errorf("registered: %+v", s)
	}
}
