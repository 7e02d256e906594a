package testkit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// SetHeaders sends these headers with every further request.
func (b *Browser) SetHeaders(headers map[string]string) {
	b.t.Helper()
	b.call("Network.setExtraHTTPHeaders", map[string]any{"headers": headers}, nil)
}

// Navigate opens url and waits until it is loaded.
func (b *Browser) Navigate(url string) {
	b.t.Helper()
	b.AfterLoad(func() {
		var result struct{ ErrorText string }
		b.call("Page.navigate", map[string]any{"url": url}, &result)
		if result.ErrorText != "" && result.ErrorText != "net::ERR_HTTP_RESPONSE_CODE_FAILURE" {
			b.t.Fatalf("browser: opening %s: %s", url, result.ErrorText)
		}
	})
}

// AfterLoad does something that leads to another page and waits for its load.
func (b *Browser) AfterLoad(do func()) {
	b.t.Helper()
	b.mu.Lock()
	before := b.loads
	b.mu.Unlock()
	do()
	b.until("a page load", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.loads > before
	})
}

// WaitURL waits until the page's address ends in suffix and it is loaded.
func (b *Browser) WaitURL(suffix string) {
	b.t.Helper()
	b.until("an address ending in "+suffix, func() bool {
		var at struct{ URL, State string }
		err := b.evaluate(`({URL: location.href, State: document.readyState})`, &at)
		return err == nil && strings.HasSuffix(at.URL, suffix) && at.State == "complete"
	})
}

// until waits for done, asking again whenever something happens.
func (b *Browser) until(what string, done func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(browserPatience)
	for !done() {
		if time.Now().After(deadline) {
			b.t.Fatalf("browser: no %s within %s; at %s", what, browserPatience, b.URL())
		}
		select {
		case <-b.wake:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Evaluate runs a JavaScript expression, also while the page's own scripts are
// off, and decodes its value into result.
func (b *Browser) Evaluate(expression string, result any) {
	b.t.Helper()
	if err := b.evaluate(expression, result); err != nil {
		b.t.Fatalf("browser: evaluating %s: %v", expression, err)
	}
}

func (b *Browser) evaluate(expression string, result any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := b.try("Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "awaitPromise": true,
	}, &r)
	if err != nil {
		return err
	}
	if e := r.ExceptionDetails; e != nil {
		return fmt.Errorf("%s %s", e.Text, e.Exception.Description)
	}
	if result == nil || r.Result.Value == nil {
		return nil
	}
	return json.Unmarshal(r.Result.Value, result)
}

// URL returns the address of the page.
func (b *Browser) URL() (url string) {
	b.t.Helper()
	b.Evaluate("location.href", &url)
	return url
}

// HTML returns the page as it stands.
func (b *Browser) HTML() (html string) {
	b.t.Helper()
	b.Evaluate("document.documentElement.outerHTML", &html)
	return html
}

// Text returns the text of the page as people see it.
func (b *Browser) Text() (text string) {
	b.t.Helper()
	b.Evaluate("document.body.innerText", &text)
	return text
}

// Click clicks the middle of the element that a CSS selector names.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	var root struct{ Root struct{ NodeID int } }
	b.call("DOM.getDocument", nil, &root)
	var node struct{ NodeID int }
	b.call("DOM.querySelector", map[string]any{"nodeId": root.Root.NodeID, "selector": selector}, &node)
	if node.NodeID == 0 {
		b.t.Fatalf("browser: nothing matches %s at %s", selector, b.URL())
	}
	b.call("DOM.scrollIntoViewIfNeeded", map[string]any{"nodeId": node.NodeID}, nil)
	var box struct{ Model struct{ Content []float64 } }
	b.call("DOM.getBoxModel", map[string]any{"nodeId": node.NodeID}, &box)
	c := box.Model.Content
	if len(c) != 8 {
		b.t.Fatalf("browser: %s has no box", selector)
	}
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		event := map[string]any{"type": kind, "x": (c[0] + c[4]) / 2, "y": (c[1] + c[5]) / 2}
		if kind != "mouseMoved" {
			event["button"], event["clickCount"] = "left", 1
		}
		b.call("Input.dispatchMouseEvent", event, nil)
	}
}

// Type clicks into an element and types text.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.Click(selector)
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Press presses a key that has a character code, such as "Enter" (13) or "Tab" (9).
func (b *Browser) Press(key string, code int) {
	b.t.Helper()
	text := ""
	if key == "Enter" {
		text = "\r"
	}
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// Screenshot writes a PNG of the viewport to a file.
func (b *Browser) Screenshot(file string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatalf("browser: screenshot: %v", err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.t.Fatalf("browser: screenshot: %v", err)
	}
}

// Requests returns the addresses of everything requested so far, data: too.
func (b *Browser) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// Console returns what the browser complained about so far: scripts that failed,
// violations of a content security policy, requests that were refused.
func (b *Browser) Console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.console...)
}
