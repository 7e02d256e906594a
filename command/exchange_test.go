package command

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/appliance"
	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

// TestExchangeRequests: what these commands ask the node.
func TestExchangeRequests(t *testing.T) {
	for _, c := range []struct{ args, method, path, body string }{
		{"capi status", "GET", "/rampart/capi", ""},
		{"capi preview -n 3", "GET", "/rampart/capi/signals?limit=3", ""},
		{"capi register -u https://x/", "POST", "/rampart/capi/register", `{"url":"https://x/"}`},
		{"capi enroll k -n edge -t a -t b --overwrite", "POST", "/rampart/capi/enroll", `{"key":"k","name":"edge","tags":["a","b"],"overwrite":true}`},
		{"capi pull", "POST", "/rampart/capi/pull", ""},
		{"lists refresh a/b", "POST", "/rampart/lists/a%2Fb/refresh", ""},
		{"notifications list", "GET", "/rampart/notifications", ""},
		{"notifications test ../x", "POST", "/rampart/notifications/..%2Fx/test", ""},
		{"simulation status", "GET", "/rampart/simulation", ""},
		{"simulation enable a list:b", "POST", "/rampart/simulation", `{"selectors":["a","list:b"],"on":true}`},
		{"simulation disable -g", "POST", "/rampart/simulation", `{"selectors":["*"],"on":false}`},
		{"simulation reset", "DELETE", "/rampart/simulation", ""},
		{"simulation reset a host:b", "DELETE", "/rampart/simulation?selector=a&selector=host%3Ab", ""},
		{"profiles list", "GET", "/rampart/profiles", ""},
		{"profiles test --alert 7", "POST", "/rampart/profiles/test", `{"id":7}`},
		{"metrics", "GET", "/rampart/metrics", ""},
		{"metrics show lapi", "GET", "/rampart/metrics", ""},
		{"support dump --with-alerts -f " + filepath.Join(t.TempDir(), "x.zip"), "GET", "/rampart/support?alerts=true", ""},
	} {
		checkAsked(t, c.args, c.method, c.path, c.body)
	}
}

// TestExchangeTrouble: what people read when something is wrong, and that the node is not
// asked for what cannot be.
func TestExchangeTrouble(t *testing.T) {
	alert := filepath.Join(t.TempDir(), "alert.json")
	if err := os.WriteFile(alert, []byte(`{"scenario": "x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	partly := appliance.Pulled{Lists: []appliance.PulledList{{Name: "good", Entries: 1, Added: 1}}, Problem: "bad: 404"}
	for _, c := range []struct {
		args  string
		x     exchange
		want  []string
		asked bool
	}{
		{"capi enroll", exchange{}, []string{"KEY", "--help"}, false},
		{"capi pull", exchange{answer: partly}, []string{"not everything", "bad: 404"}, true},
		{"capi register -u ftp://x -f " + alert + ".yaml", exchange{}, []string{"ftp://x", "expected one such as"}, false},
		{"capi register -f " + alert, exchange{}, []string{"is there already"}, false},
		{"notifications inspect x", exchange{answer: sampleNotifications(t)}, []string{`"x"`, "notifications list", "no type"}, true},
		{"simulation enable", exchange{}, []string{"list:NAME", "-g"}, false},
		{"simulation enable host:", exchange{}, []string{"name of a host"}, false},
		{"simulation reset list:", exchange{}, []string{"list name"}, false},
		{"profiles test", exchange{}, []string{"--alert", "alerts list"}, false},
		{"profiles test --alert /none/alert.json", exchange{}, []string{"neither the id of an alert nor a file"}, false},
		{"profiles test --alert " + alert, exchange{}, []string{"no scenario or no source", "alerts inspect"}, false},
		{"profiles test --alert 7 --profiles /none.yaml", exchange{}, []string{"reading profiles", "/none.yaml"}, false},
		{"metrics show nosuch", exchange{}, []string{`"nosuch"`, "lapi-bouncer"}, false},
		{"support dump -f " + alert, exchange{answer: appliance.Support{}}, []string{"is there already", "-f"}, true},
		{"metrics -o xml", exchange{}, []string{"human, json or raw"}, false},
	} {
		checkTrouble(t, c.args, &c.x, c.want)
		if (c.x.method != "") != c.asked {
			t.Errorf("%s: asked the node %q", c.args, c.x.method)
		}
	}
}

// TestRegisterAlone: a login is made and written without a node.
func TestRegisterAlone(t *testing.T) {
	server := capitest.Start(t, nil)
	file := filepath.Join(t.TempDir(), "central.yaml")
	x := &exchange{}
	out, err := run(t, x, "capi", "register", "-u", server.URL, "-f", file, "-o", "json")
	if err != nil || x.method != "" {
		t.Fatalf("%v, asked %q: %s", err, x.method, out)
	}
	r := answered[appliance.Registration](t, out)
	if diff := cmp.Diff([]string{r.Login}, server.Machines()); diff != "" || r.Credentials != file {
		t.Errorf("%s %+v", diff, r)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// TestSupportArchive: the archive has all files, for its owner alone, and a manifest that
// is right about them; a name in the answer cannot leave its folder.
func TestSupportArchive(t *testing.T) {
	files := []appliance.SupportFile{{Name: "status.json", What: "how it does", Text: "{}\n"}, {Name: "../../evil.txt", What: "x", Text: "evil"}}
	file := filepath.Join(t.TempDir(), "d.zip")
	out, err := run(t, &exchange{answer: appliance.Support{Node: "n", Version: "v1", Made: now, Files: files, LeftOut: []string{"keys"}}}, "support", "dump", "-f", file)
	if err != nil || !strings.Contains(out, "Left out: keys.") || !strings.Contains(out, file) {
		t.Fatalf("%v: %s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || path.Dir(f.Name) != "rampart-support" {
			t.Errorf("%s: %v", f.Name, err)
		}
		got[path.Base(f.Name)] = string(text)
	}
	var m dumpManifest
	if err := json.Unmarshal([]byte(got["manifest.json"]), &m); err != nil || len(m.Files) != 2 || m.Node != "n" || !m.Made.Equal(now) {
		t.Fatalf("%v: %s", err, got["manifest.json"])
	}
	for _, f := range m.Files {
		sum := sha256.Sum256([]byte(got[f.Name]))
		if f.Bytes != len(got[f.Name]) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes == 0 {
			t.Errorf("%+v of %q", f, got[f.Name])
		}
	}
}
