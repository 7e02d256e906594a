// Package testkit holds what tests of several packages share: a real browser to
// drive, and the answers to challenges. It is no part of the product.
//
//	test ─► Browser ─► chromium ─► server under test
//
// Concurrency: its values belong to one test and one goroutine.
package testkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// BrowserOptions says what kind of visitor a Browser is.
type BrowserOptions struct {
	Width, Height int    // of the viewport, 1000 × 900 by default
	Dark          bool   // the visitor prefers dark pages
	NoScript      bool   // JavaScript is off
	Language      string // Accept-Language
	Path          string // of chromium; found by itself if empty
}

// Browser is a real headless Chromium with one page, driven over the DevTools
// protocol. Input goes through the page's own input handling, so it works
// without JavaScript as well. Its methods fail the test instead of returning
// errors. It is for one goroutine.
type Browser struct {
	t       testing.TB
	conn    *websocket.Conn
	session string
	lastID  int

	mu       sync.Mutex
	waiting  map[int]chan reply
	loads    int
	requests []string
	console  []string
	closed   error
	wake     chan struct{} // one pending signal: something happened
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// browserPatience bounds each step; it is generous because tests share machines.
const browserPatience = 60 * time.Second

// StartBrowser starts Chromium and ends it with the test. It skips the test,
// saying so, if there is none.
func StartBrowser(t testing.TB, o BrowserOptions) *Browser {
	t.Helper()
	path := o.Path
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		t.Skip("no chromium in PATH: the browser test did not run")
	}
	profile := t.TempDir()
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+profile, "--remote-debugging-port=0", "about:blank")
	// A process group of its own: its children write to the profile to the last.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	b := &Browser{t: t, waiting: make(map[int]chan reply), wake: make(chan struct{}, 1)}
	read := make(chan struct{})
	t.Cleanup(func() {
		if b.conn != nil {
			b.conn.Close()
			<-read
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		emptied(profile)
	})
	if b.conn, _, err = websocket.DefaultDialer.Dial(devTools(t, bufio.NewScanner(stderr)), nil); err != nil {
		t.Fatalf("connecting to chromium: %v", err)
	}
	go func() { defer close(read); b.read() }()
	b.open(o)
	return b
}

// emptied removes the profile; helpers of the browser may outlive it briefly.
func emptied(dir string) {
	for deadline := time.Now().Add(10 * time.Second); os.RemoveAll(dir) != nil && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
}

// devTools returns the address that Chromium prints when it is ready, and goes
// on reading so that the pipe never fills.
func devTools(t testing.TB, lines *bufio.Scanner) string {
	t.Helper()
	found := make(chan string, 1)
	go func() { // ends with the process, which closes the pipe
		for lines.Scan() {
			if _, address, ok := strings.Cut(lines.Text(), "DevTools listening on "); ok {
				select {
				case found <- strings.TrimSpace(address):
				default:
				}
			}
		}
	}()
	select {
	case address := <-found:
		return address
	case <-time.After(browserPatience):
		t.Fatal("chromium did not say where it listens")
		return ""
	}
}

func (b *Browser) open(o BrowserOptions) {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log", "DOM"} {
		b.call(domain+".enable", nil, nil)
	}
	if o.Width == 0 {
		o.Width, o.Height = 1000, 900
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": o.Width, "height": o.Height, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
	scheme := "light"
	if o.Dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
	if o.NoScript {
		b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	}
	if o.Language != "" {
		b.SetHeaders(map[string]string{"Accept-Language": o.Language})
	}
}

// read hands replies and events on until the connection ends.
func (b *Browser) read() {
	for {
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			reply
		}
		err := b.conn.ReadJSON(&m)
		b.mu.Lock()
		if err != nil {
			b.closed = err
			for id, c := range b.waiting {
				delete(b.waiting, id)
				close(c)
			}
			b.mu.Unlock()
			return
		}
		if c := b.waiting[m.ID]; c != nil {
			delete(b.waiting, m.ID)
			c <- m.reply
		}
		b.note(m.Method, m.Params)
		b.mu.Unlock()
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// note keeps what tests ask about; the caller holds the lock.
func (b *Browser) note(method string, params json.RawMessage) {
	var p struct {
		Request          struct{ URL string }
		Entry            struct{ Text, URL string }
		ExceptionDetails struct{ Text string }
	}
	switch method {
	case "Page.loadEventFired":
		b.loads++
	case "Network.requestWillBeSent", "Log.entryAdded", "Runtime.exceptionThrown":
		if json.Unmarshal(params, &p) != nil {
			return
		}
		if p.Request.URL != "" {
			b.requests = append(b.requests, p.Request.URL)
		}
		if text := p.Entry.Text + p.ExceptionDetails.Text; text != "" {
			b.console = append(b.console, text+" "+p.Entry.URL)
		}
	}
}

// call sends a command and waits for its result.
func (b *Browser) call(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatalf("browser: %s: %v", method, err)
	}
}

func (b *Browser) try(method string, params, result any) error {
	c := make(chan reply, 1)
	b.mu.Lock()
	if b.closed != nil {
		b.mu.Unlock()
		return b.closed
	}
	b.lastID++
	id := b.lastID
	b.waiting[id] = c
	b.mu.Unlock()
	command := map[string]any{"id": id, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	if err := b.conn.WriteJSON(command); err != nil {
		return err
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return errors.New("chromium has gone")
		case r.Error != nil:
			return errors.New(r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-time.After(browserPatience):
		return fmt.Errorf("no answer within %s", browserPatience)
	}
}
