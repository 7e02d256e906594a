package testkit

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Capture is a request of a real client of CrowdSec, and the real server's answer.
type Capture struct {
	Name              string // its file below api-captures, without .json
	Time              time.Time
	Method, URI, Host string
	Status            int
	Request, Response CaptureMessage
}

// CaptureMessage is a request or an answer.
type CaptureMessage struct {
	Headers http.Header
	Body    json.RawMessage // where it is JSON
	Text    string          `json:"body_text"` // where it is anything else
}

// Captures are those whose names begin with prefix, in the order of the index. The test
// is skipped where there are no captures at all.
func Captures(tb testing.TB, prefix string) []Capture {
	tb.Helper()
	index, err := os.ReadFile(Shared(tb, "api-captures", "INDEX.tsv"))
	if err != nil {
		tb.Fatal(err)
	}
	var all []Capture
	for line := range strings.Lines(string(index)) {
		file, _, _ := strings.Cut(line, "\t")
		if name, ok := strings.CutSuffix(file, ".json"); ok && strings.HasPrefix(name, prefix) {
			all = append(all, ReadCapture(tb, name))
		}
	}
	if len(all) == 0 {
		tb.Fatalf("the index has no captures %s…", prefix)
	}
	return all
}

// ReadCapture is one capture.
func ReadCapture(tb testing.TB, name string) Capture {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(Shared(tb, "api-captures"), filepath.FromSlash(name)+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	c := Capture{Name: name}
	if err := json.Unmarshal(text, &c); err != nil {
		tb.Fatalf("reading the capture %s: %v", name, err)
	}
	return c
}
