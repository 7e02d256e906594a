package command

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// register runs lapi register against a server that answers with a status and a text.
func register(t *testing.T, status int, answer string, args ...string) (out string, asked map[string]string, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/watchers" || strings.Count(r.UserAgent(), "/") != 1 {
			t.Errorf("asked %s %s as %s", r.Method, r.URL.Path, r.UserAgent())
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	out, err = run(t, &exchange{}, append([]string{"lapi", "register", "--url", s.URL}, args...)...)
	return out, asked, err
}

// TestRegister: what is sent, what is kept, and what people read of each answer.
func TestRegister(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.yaml")
	out, asked, err := register(t, http.StatusCreated, "", "-f", file, "--token", "TOKEN")
	if err != nil || !strings.Contains(out, "machines validate "+asked["machine_id"]) {
		t.Errorf("%v: %s", err, out)
	}
	if len(asked["machine_id"]) != 48 || len(asked["password"]) != 64 || asked["registration_token"] != "TOKEN" {
		t.Errorf("asked %v", asked)
	}
	cr, err := readCredentials(file)
	if err != nil || cr.Login != asked["machine_id"] || cr.Password != asked["password"] {
		t.Errorf("kept %+v: %v", cr, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	if strings.Contains(out, asked["password"]) {
		t.Error("the password is shown as well")
	}
	out, asked, err = register(t, http.StatusAccepted, "", "--machine", "web1")
	if err != nil || asked["machine_id"] != "web1" || !strings.Contains(out, "password: "+asked["password"]) || !strings.Contains(out, "validated it") {
		t.Errorf("%v, %v: %s", err, asked, out)
	}
	if _, _, err = register(t, 404, "<html>\n"+strings.Repeat("\x1b", 999)); err == nil || !strings.Contains(err.Error(), "404: <html> ") ||
		!strings.Contains(err.Error(), "a Local API?") || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1200 {
		t.Errorf("got %v", err)
	}
	for status, want := range map[int]string{403: "--machine", 401: "--token", 500: "500"} {
		other := filepath.Join(t.TempDir(), "none.yaml")
		if _, _, err = register(t, status, `{"message":"why not"}`, "-f", other); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "why not") {
			t.Errorf("%d: %v", status, err)
		}
		left, err := os.ReadDir(filepath.Dir(other))
		if err != nil || len(left) != 0 {
			t.Errorf("%d left %v: %v", status, left, err)
		}
	}
}

// TestLogin: with credentials from a file, one over it, and the environment; over a
// socket.
func TestLogin(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Machine  string `json:"machine_id"`
			Password string `json:"password"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/watchers/login" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		switch in.Password {
		case "right":
			_, _ = w.Write([]byte(`{"code":200,"expire":"2026-03-01T13:00:00Z","token":"T"}`))
		case "odd":
			_, _ = w.Write([]byte(`<html>`))
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":401,"message":"incorrect Username or Password"}`))
		}
	})}
	go func() { _ = s.Serve(l) }() // it ends with Close
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	t.Setenv("MACHINE_PASSWORD", "right")
	file := filepath.Join(dir, "c.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "url: "+socket+"\nlogin: web1\npassword: ${MACHINE_PASSWORD}\n")
	if out, err := run(t, &exchange{}, "lapi", "status", "-f", file, "-o", "raw"); err != nil || !strings.Contains(out, socket+",web1,2026-03-01T13:00:00Z") {
		t.Errorf("%v: %s", err, out)
	}
	t.Setenv("MACHINE", "x")
	write(file+".local", "ca_cert_path: $MACHINE/ca.pem\npassword: $1$NOSUCHVARIABLE${NOSUCHVARIABLE}$\n")
	if cr, err := readCredentials(file); err != nil || cr.CA != "x/ca.pem" || cr.Password != "$1$NOSUCHVARIABLE${NOSUCHVARIABLE}$" {
		t.Errorf("read %+v: %v", cr, err)
	}
	for password, want := range map[string]string{"wrong": "incorrect Username or Password", "odd": "is that a Local API?"} {
		write(file+".local", "password: "+password+"\n")
		if out, err := run(t, &exchange{}, "lapi", "status", "-f", file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: %s", password, err, out)
		}
	}
}
