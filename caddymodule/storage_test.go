package caddymodule

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/rampart-edge/rampart/appliance"
)

// TestStoragePlaceholders: what Caddy's placeholders stand for is known when the
// configuration is provisioned, and a password that stands for nothing is refused.
func TestStoragePlaceholders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"HOST": "192.0.2.1", "PASSWORD": "hunter2", "EMPTY": ""} {
		t.Setenv("RAMPART_TEST_"+name, value)
	}
	env := func(name string) string { return "{env.RAMPART_TEST_" + name + "}" }
	c := appliance.StorageConfig{Address: env("HOST") + ":6379", Cluster: []string{env("HOST") + ":1"}, Sentinels: []string{env("HOST") + ":2"},
		Master: env("HOST"), Username: env("HOST"), Password: env("PASSWORD"), SentinelPassword: "{file." + file + "}",
		Prefix: env("HOST") + ":", TLS: &appliance.StorageTLS{CA: env("HOST"), ServerName: env("HOST")}}
	if err := expandStorage(&c, caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	got := []string{c.Address, c.Cluster[0], c.Sentinels[0], c.Master, c.Username, c.Password, c.SentinelPassword, c.Prefix, c.TLS.CA, c.TLS.ServerName}
	want := "192.0.2.1:6379 192.0.2.1:1 192.0.2.1:2 192.0.2.1 192.0.2.1 hunter2 from file 192.0.2.1: 192.0.2.1 192.0.2.1"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, empty := range []appliance.StorageConfig{{Password: env("EMPTY")}, {SentinelPassword: env("EMPTY")}} {
		if err := expandStorage(&empty, caddy.NewReplacer()); err == nil || !strings.Contains(err.Error(), "password is empty") {
			t.Errorf("%+v: %v", empty, err)
		}
	}
}

// TestValidateConnectsToNothing: a configuration is validated without a word to Redis.
func TestValidateConnectsToNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	met := make(chan struct{}, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
			met <- struct{}{}
		}
	}()
	storage := fmt.Sprintf("storage redis {\naddress %s\n}", ln.Addr())
	if err := validate(t, withGlobals(t, rampartBlock(t, storage), "http://localhost {\nrampart\n}")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-met:
		t.Error("Redis was spoken to")
	default:
	}
	if err := validate(t, withGlobals(t, rampartBlock(t, "storage redis {\naddress nowhere\n}"), "")); err == nil ||
		!strings.Contains(err.Error(), "write HOST:PORT") {
		t.Errorf("got %v", err)
	}
}
