package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/rampart-edge/rampart/command"
)

// adminGet asks the admin endpoint the way the commands do.
func adminGet(t *testing.T, address, path string) (int, map[string]any) {
	t.Helper()
	resp, err := request(t.Context(), command.Endpoint{Address: address}, http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%d %s", resp.StatusCode, data)
	}
	return resp.StatusCode, v
}

// TestAdmin: the routes follow the node that runs, over TCP and over a socket,
// through reloads good and bad.
func TestAdmin(t *testing.T) {
	port := freePort(t)
	socket := filepath.Join(t.TempDir(), "a.sock")
	for _, address := range []string{fmt.Sprintf("localhost:%d", port), "unix/" + socket, "unix/" + socket + "|0600"} {
		t.Run(address, func(t *testing.T) {
			block := rampartBlock(t, "%s")
			config := func(block string) []byte {
				return mustAdapt(t, withGlobals(t, "admin "+address+"\n"+block, ""))
			}
			load(t, withGlobals(t, "admin "+address+"\n"+fmt.Sprintf(block, ""), ""))
			if status, v := adminGet(t, address, "/rampart/status"); status != 200 || v["node"] != nodeNameOf(t) {
				t.Errorf("status %d %v", status, v)
			}
			if err := caddy.Load(config(fmt.Sprintf(block, "profiles /nonexistent/p.yaml")), true); err == nil {
				t.Fatal("a missing profile file was accepted")
			}
			if status, v := adminGet(t, address, "/rampart/status"); status != 200 {
				t.Errorf("after a failed reload: %d %v", status, v)
			}
			if status, v := adminGet(t, address, "/rampart/nothing"); status != 404 || v["error"] == nil {
				t.Errorf("unknown path: %d %v", status, v)
			}
			if err := caddy.Load(config(""), true); err != nil {
				t.Fatal(err)
			}
			if status, v := adminGet(t, address, "/rampart/status"); status != 503 || !strings.Contains(fmt.Sprint(v["error"]), "add a rampart block") {
				t.Errorf("without a block: %d %v", status, v)
			}
		})
	}
}

// TestAdminAddress: where the commands look for the node.
func TestAdminAddress(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file := write("other.caddy", "{\nadmin unix//run/x.sock\n}\n")
	off := write("off.caddy", "{\nadmin off\n}\n")
	raw := write("c.json", `{"admin":{"listen":"localhost:7"}}`)
	bad := write("bad.caddy", "{\nnonsense\n}\n")
	for _, tc := range []struct {
		at    command.Endpoint
		want  string
		wrong string
	}{
		{at: command.Endpoint{}, want: caddy.DefaultAdminListen},
		{at: command.Endpoint{Address: "localhost:1", Config: file}, want: "localhost:1"},
		{at: command.Endpoint{Config: file}, want: "unix//run/x.sock"},
		{at: command.Endpoint{Config: raw}, want: "localhost:7"},
		{at: command.Endpoint{Config: off}, wrong: "admin off"},
		{at: command.Endpoint{Config: bad}, wrong: "nonsense"},
		{at: command.Endpoint{Config: "missing"}, wrong: "missing"},
	} {
		got, err := adminAddress(tc.at)
		if got != tc.want || tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
			t.Errorf("%+v: %q, %v", tc.at, got, err)
		}
	}
	write("Caddyfile", "{\nadmin localhost:9\n}\n")
	if got, err := adminAddress(command.Endpoint{}); got != "localhost:9" {
		t.Errorf("beside a Caddyfile: %q, %v", got, err)
	}
	_, err := request(context.Background(), command.Endpoint{Address: "unix/" + dir + "/none.sock"}, "GET", "/", nil)
	if err == nil || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err = request(context.Background(), command.Endpoint{Address: "localhost:1-9"}, "GET", "/", nil); err == nil {
		t.Error("a port range was accepted")
	}
}

// TestCommandTree: every build has the commands below one name.
func TestCommandTree(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Commands("rampart") {
		names[c.Name()] = true
	}
	for _, want := range []string{"status", "decisions", "alerts", "why", "replay", "unban", "allowlist"} {
		if !names[want] {
			t.Errorf("no command %s", want)
		}
	}
}
