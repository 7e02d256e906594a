package command

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOwnFile: a file is there for its owner alone or not at all, and what there was
// stays until there is something in its place.
func TestOwnFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	look := func(want string) {
		t.Helper()
		list, err := os.ReadDir(dir)
		text, rerr := os.ReadFile(path)
		info, serr := os.Stat(path)
		if err != nil || rerr != nil || serr != nil || len(list) != 1 || string(text) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%q, %v, among %v: %v %v %v", text, info, list, err, rerr, serr)
		}
	}
	open := func(force bool) *ownFile {
		t.Helper()
		w, err := newOwnFile(path, force, "advice")
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	open(false).close()
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left %v: %v", list, err)
	}
	for _, text := range []string{"one", "two"} {
		w := open(text == "two")
		if err := w.write([]byte(text)); err != nil {
			t.Error(err)
		}
		w.close()
		look(text)
	}
	open(true).close()
	look("two")
	if _, err := newOwnFile(path, false, "advice"); err == nil || err.Error() != path+" is there already; advice" {
		t.Errorf("got %v", err)
	}
}
