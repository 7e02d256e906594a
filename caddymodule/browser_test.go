package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// TestRefusalInBrowser: a real browser shows the page as it is meant, under the
// policy it is sent with, and asks for nothing else.
func TestRefusalInBrowser(t *testing.T) {
	port := freePort(t)
	load(t, withGlobals(t, rampartBlock(t, "contact help@example.com")+trustLoopback,
		fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\nrespond behind\n}", port)))
	decide(t, "ban", "203.0.113.1")
	b := testkit.StartBrowser(t, testkit.BrowserOptions{Width: 900, Height: 700})
	b.SetHeaders(map[string]string{"X-Forwarded-For": "203.0.113.1"})
	url := fmt.Sprintf("http://localhost:%d/wp-login.php", port)
	b.Navigate(url)
	if text := b.Text(); !strings.Contains(text, "Access refused") || !strings.Contains(text, "please quote the incident") {
		t.Errorf("the page reads %q", text)
	}
	for what, want := range map[string]string{
		"getComputedStyle(document.querySelector('main')).borderRadius":                "14.4px", // the style was admitted
		"getComputedStyle(document.querySelector('code')).userSelect":                  "all",
		"document.querySelector('code').textContent.length":                            "26",
		"document.documentElement.scrollWidth <= document.documentElement.clientWidth": "true",
		"document.title": "Access refused",
	} {
		var got any
		if b.Evaluate(what, &got); fmt.Sprint(got) != want {
			t.Errorf("%s is %s, not %s", what, got, want)
		}
	}
	for _, r := range b.Requests() {
		if r != url && !strings.HasSuffix(r, "/favicon.ico") {
			t.Errorf("the page asked for %s", r)
		}
	}
	for _, line := range b.Console() {
		if !strings.Contains(line, "403") && !strings.Contains(line, "favicon") {
			t.Errorf("the browser complains: %s", line)
		}
	}
	if *shotOut != "" {
		b.Screenshot(*shotOut)
	}
}
