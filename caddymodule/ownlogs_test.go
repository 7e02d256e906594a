package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwnLogs: a source that reads what this Caddy writes is refused when the
// configuration is validated, wherever the log is configured.
func TestOwnLogs(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/logs", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/logs/access.log", dir+"/link.log"); err != nil {
		t.Fatal(err)
	}
	log := "log {\noutput file " + dir + "/logs/access.log\n}"
	for _, tc := range []struct {
		name, global, site, source string
		refused                    bool
	}{
		{name: "other file", site: log, source: dir + "/auth.log"},
		{name: "site", site: log, source: dir + "/logs/access.log", refused: true},
		{name: "site, glob", site: log, source: dir + "/logs/*.log", refused: true},
		{name: "site, directory glob", site: log, source: dir + "/*/access.log", refused: true},
		{name: "site, relative", site: log, source: dir + "/logs/../logs/access.log", refused: true},
		{name: "site, symbolic link", site: log, source: dir + "/link.log", refused: true},
		{name: "site, rolled files", site: log, source: dir + "/logs/access-*.log", refused: true},
		{name: "site, excluded", site: log, source: dir + "/logs/*.log {\nexclude access\n}"},
		{name: "site, another excluded", site: log, source: dir + "/logs/*.log {\nexclude debug\n}", refused: true},
		{name: "site, not rolled", site: "log {\noutput file " + dir + "/logs/access.log {\nroll_disabled\n}\n}",
			source: dir + "/logs/access.log", refused: true},
		{name: "site, second source", site: log, source: dir + "/auth.log\nsource file " + dir + "/logs/access.log", refused: true},
		{name: "site, named log", site: "log access {\noutput file " + dir + "/logs/access.log\n}", source: dir + "/logs/access.log", refused: true},
		{name: "global default log", global: log, source: dir + "/logs/access.log", refused: true},
		{name: "global named log", global: "log other {\noutput file " + dir + "/logs/access.log\ninclude http.log.access\n}",
			source: dir + "/logs/access.log", refused: true},
		{name: "placeholder", site: "log {\noutput file {env.RAMPART_TEST_LOGS}/access.log\n}", source: dir + "/logs/access.log", refused: true},
		{name: "both placeholders", site: "log {\noutput file {env.RAMPART_TEST_LOGS}/access.log\n}",
			source: "{env.RAMPART_TEST_LOGS}/access.log", refused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("RAMPART_TEST_LOGS", dir+"/logs")
			err := validate(t, withGlobals(t, rampartBlock(t, "source file "+tc.source)+"\n"+tc.global,
				"http://localhost:8080 {\nrampart\n"+tc.site+"\n}"))
			checkRefused(t, err, tc.refused)
		})
	}
}

func checkRefused(t *testing.T, err error, want bool) {
	t.Helper()
	switch {
	case !want && err != nil:
		t.Error(err)
	case want && err == nil:
		t.Error("accepted")
	case want && (!strings.Contains(err.Error(), "which this Caddy writes to") || !strings.Contains(err.Error(), "access.log") &&
		!strings.Contains(err.Error(), "link.log") && !strings.Contains(err.Error(), "access-")):
		t.Errorf("the error does not say why: %v", err)
	}
}

// TestOwnLogsJSON: the same from JSON, for the log of Go's own logger, too.
func TestOwnLogsJSON(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "access.log")
	app := fmt.Sprintf(`"apps":{"rampart":{"node":%q,"data_dir":%q,"sources":[{"type":"file","paths":[%q]}]}}`, nodeNameOf(t), dir, file)
	for name, logging := range map[string]string{
		"logs": fmt.Sprintf(`"logs":{"x":{"writer":{"output":"file","filename":%q},"include":["http.log.access.x"]}}`, file),
		"sink": fmt.Sprintf(`"sink":{"writer":{"output":"file","filename":%q}}`, file),
	} {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(`{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":%q},"logging":{%s},%s}`,
				dir, logging, app)
			checkRefused(t, validateJSON(t, config), true)
		})
	}
}

// TestOwnLogsOutput: standard output that was sent to a file counts as a log.
func TestOwnLogsOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := os.Stdout
	os.Stdout = f
	defer func() { os.Stdout = old }()
	err = validate(t, withGlobals(t, rampartBlock(t, "source file "+file), ""))
	checkRefused(t, err, true)
}
