package testkit

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared returns the path of test data that is not part of the repository: below
// the folder that RAMPART_SHARED names, else below ../shared beside the repository.
// Where it is missing the test is skipped.
func Shared(tb testing.TB, path ...string) string {
	tb.Helper()
	full, ok := sharedPath(tb, path)
	if !ok {
		tb.Skipf("needs shared test data, and there is no %s (RAMPART_SHARED names another place than ../shared)", full)
	}
	return full
}

// HasShared reports whether Shared would find it, for tests that do with less.
func HasShared(tb testing.TB, path ...string) bool {
	tb.Helper()
	_, ok := sharedPath(tb, path)
	return ok
}

func sharedPath(tb testing.TB, path []string) (string, bool) {
	tb.Helper()
	dir := os.Getenv("RAMPART_SHARED")
	if dir == "" {
		dir = filepath.Join(root(tb), "..", "shared")
	}
	full := filepath.Join(append([]string{dir}, path...)...)
	_, err := os.Stat(full)
	return full, err == nil
}

// root is the folder with the module's go.mod.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test")
		}
	}
}
