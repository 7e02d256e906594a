package appliance

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestStorageJSON: the JSON form says all there is, and is refused where it
// contradicts itself. Nothing is connected to.
func TestStorageJSON(t *testing.T) {
	dir := t.TempDir()
	pair := testkit.NewCertificate(t, dir, "redis")
	cert, key := pair.CertFile, pair.KeyFile
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := func(more string) string { return `{"kind": "redis", ` + more + `}` }
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":             {`{}`, ""},
		"memory":              {`{"kind": "memory"}`, ""},
		"address":             {redis(`"address": "127.0.0.1:1"`), ""},
		"a name":              {redis(`"address": "redis.invalid:6379"`), ""},
		"socket":              {redis(`"address": "unix//run/redis.sock"`), ""},
		"sentinel":            {redis(`"master": "m", "sentinels": ["[::1]:26379"], "sentinel_password": "hunter2"`), ""},
		"cluster":             {redis(`"cluster": ["127.0.0.1:1"], "username": "u", "password": "hunter2"`), ""},
		"tls":                 {redis(`"address": "127.0.0.1:1", "tls": {"ca": "` + cert + `", "cert": "` + cert + `", "key": "` + key + `"}`), ""},
		"all":                 {redis(`"address": "127.0.0.1:1", "prefix": "x:", "db": 7, "flush": "1ms", "batch": 256`), ""},
		"no such kind":        {`{"kind": "postgres"}`, `"postgres" is unknown; use redis or embedded`},
		"options of nothing":  {`{"address": "127.0.0.1:1"}`, "takes no options; write storage redis"},
		"no way":              {`{"kind": "redis"}`, "0 of address, sentinel and cluster"},
		"two ways":            {redis(`"address": "127.0.0.1:1", "cluster": ["127.0.0.1:1"]`), "2 of address"},
		"no master":           {redis(`"sentinels": ["127.0.0.1:1"]`), "both the name of the primary and"},
		"no sentinels":        {redis(`"master": "m"`), "both the name of the primary and"},
		"whose password":      {redis(`"address": "127.0.0.1:1", "sentinel_password": "hunter2"`), "are for Sentinels"},
		"cluster with db":     {redis(`"cluster": ["127.0.0.1:1"], "db": 1`), "does not belong to a cluster"},
		"negative db":         {redis(`"address": "127.0.0.1:1", "db": -1`), "db -1"},
		"no port":             {redis(`"address": "127.0.0.1"`), `"127.0.0.1" is no address; write HOST:PORT`},
		"port zero":           {redis(`"cluster": ["127.0.0.1:1", "127.0.0.1:0"]`), `cluster "127.0.0.1:0" is no address`},
		"no host":             {redis(`"address": ":6379"`), "is no address"},
		"URL":                 {redis(`"address": "redis://u:hunter2@127.0.0.1:1"`), "is a URL; write HOST:PORT"},
		"socket without path": {redis(`"address": "unix/redis.sock"`), "is no socket"},
		"socket with tls":     {redis(`"address": "unix//x", "tls": {}`), "does not belong to a unix socket"},
		"user alone":          {redis(`"address": "127.0.0.1:1", "username": "u"`), "username needs a password"},
		"braces":              {redis(`"address": "127.0.0.1:1", "prefix": "{x}"`), `prefix "{x}"`},
		"flush":               {redis(`"address": "127.0.0.1:1", "flush": "2s"`), "flush 2s"},
		"batch":               {redis(`"address": "127.0.0.1:1", "batch": 257`), "batch 257"},
		"cert alone":          {redis(`"address": "127.0.0.1:1", "tls": {"cert": "` + cert + `"}`), "both cert and key"},
		"no file":             {redis(`"address": "127.0.0.1:1", "tls": {"ca": "` + dir + `/none"}`), "no such file"},
		"no certificate":      {redis(`"address": "127.0.0.1:1", "tls": {"ca": "` + broken + `"}`), "has no certificate"},
		"no key":              {redis(`"address": "127.0.0.1:1", "tls": {"cert": "` + cert + `", "key": "` + broken + `"}`), "broken.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			if err := json.Unmarshal([]byte(`{"storage": `+tt.text+`}`), &c); err != nil {
				t.Fatal(err)
			}
			back, err := json.Marshal(c)
			var again Config
			if err != nil || json.Unmarshal(back, &again) != nil || !again.Storage.same(c.Storage) {
				t.Errorf("%s, %v: %s", back, err, cmp.Diff(c.Storage, again.Storage))
			}
			_, err = Compile(c, zap.NewNop())
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("a password is in %q", err)
			}
		})
	}
}

// TestStorageDefaults, and that they can be applied to their own result.
func TestStorageDefaults(t *testing.T) {
	c := StorageConfig{Kind: StorageRedis, Address: "127.0.0.1:1"}.withDefaults()
	want := StorageConfig{Kind: StorageRedis, Address: "127.0.0.1:1", Prefix: "rampart:", Flush: Duration(5 * time.Millisecond), Batch: 64}
	if !c.same(want) || !c.withDefaults().same(want) {
		t.Error(cmp.Diff(want, c))
	}
	if e := (StorageConfig{Kind: "memory"}).withDefaults(); !e.same(StorageConfig{Kind: StorageEmbedded}) || e.shared() {
		t.Errorf("%+v", e)
	}
}

// TestStorageCertificateIsReadAgain: a certificate that is replaced is the one that
// the next connection shows.
func TestStorageCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	pair := testkit.NewCertificate(t, dir, "redis")
	cert, key := pair.CertFile, pair.KeyFile
	c, err := StorageTLS{Cert: cert, Key: key, ServerName: "redis"}.open()
	if err != nil {
		t.Fatal(err)
	}
	if c.MinVersion != tls.VersionTLS12 || c.ServerName != "redis" || c.InsecureSkipVerify {
		t.Errorf("%+v", c)
	}
	shown := func() string {
		pair, err := c.GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pair.Certificate[0])
	}
	first := shown()
	testkit.NewCertificate(t, dir, "redis")
	if shown() == first {
		t.Error("the certificate of before is shown")
	}
}
