package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

// bold emphasises text where a terminal reads it.
func bold(text string) string {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\033[1m" + text + "\033[0m"
}

func title(text string) { fmt.Printf("\n%s\n\n", bold(text)) }

func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// quote shows what somebody else said.
func quote(text string) {
	for line := range strings.Lines(text) {
		fmt.Println(strings.TrimRight("  │ "+line, " \n"))
	}
	fmt.Println()
}

// tally shows requests in a row that got the same answer as one line.
type tally struct {
	first  string
	count  int
	answer answer
}

func (t *tally) add(path string, a answer) {
	if t.count > 0 && (a.status != t.answer.status || a.remediation != t.answer.remediation) {
		t.end()
	}
	if t.count == 0 {
		t.first = path
	}
	t.answer, t.count = a, t.count+1
}

// end shows what is left.
func (t *tally) end() {
	if t.count == 0 {
		return
	}
	what := "GET " + t.first
	if t.count > 1 {
		what = fmt.Sprintf("%d × GET %s …", t.count, t.first)
	}
	by := "from the site"
	if t.answer.remediation != "" {
		by = "from Rampart: " + t.answer.remediation
	}
	fmt.Printf("  %-34s %d %s, %s\n", what, t.answer.status, http.StatusText(t.answer.status), by)
	t.count = 0
}
