package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// stage is the running demo.
type stage struct {
	ctx    context.Context
	binary string
	dir    string
	port   string // of the proxy
	admin  string
	log    string // the growing auth.log
	origin net.Listener
	node   *exec.Cmd
}

// open starts the site and the proxy in front of it.
func open(ctx context.Context, binary string) (*stage, error) {
	s := &stage{ctx: ctx}
	err := s.prepare(binary)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) prepare(binary string) (err error) {
	if s.binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "rampart-demo-"); err != nil {
		return err
	}
	s.admin = "unix/" + filepath.Join(s.dir, "admin.sock")
	s.log = filepath.Join(s.dir, "auth.log")
	if err := os.WriteFile(s.log, nil, 0o600); err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	s.origin, err = startOrigin()
	return err
}

// startOrigin is the site behind the proxy: two pages, and nothing else.
func startOrigin() (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "/about" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, "Hello from the site.")
	})
	go http.Serve(ln, mux) //nolint:errcheck // ends with the listener
	return ln, nil
}

func (s *stage) caddyfile() string {
	return fmt.Sprintf(`{
	admin %s
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir %s
		source file %s {
			labels type=syslog
		}
	}
}
http://127.0.0.1:%s {
	rampart
	reverse_proxy %s
}
`, s.admin, filepath.Join(s.dir, "state"), s.log, s.port, s.origin.Addr())
}

// start runs the proxy and waits until the site is there.
func (s *stage) start() error {
	conf := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(conf, []byte(s.caddyfile()), 0o600); err != nil {
		return err
	}
	s.node = exec.CommandContext(s.ctx, s.binary, "run", "--config", conf, "--adapter", "caddyfile")
	s.node.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "HOME="+s.dir)
	logs, err := os.Create(filepath.Join(s.dir, "rampart.log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	s.node.Stdout, s.node.Stderr = logs, logs
	if err := s.node.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.binary, err)
	}
	err = s.until("the proxy answers", func() bool {
		a, err := s.get(visitor, "/")
		return err == nil && a.status == http.StatusOK
	})
	if err != nil {
		out, _ := os.ReadFile(logs.Name()) // what there is of it
		return fmt.Errorf("%w; its log:\n%s", err, out)
	}
	return nil
}

// close ends what open started and removes what it wrote.
func (s *stage) close() {
	if s.node != nil && s.node.Process != nil {
		_ = s.node.Process.Signal(os.Interrupt)
		_ = s.node.Wait() // an interrupted process has no error worth telling
	}
	if s.origin != nil {
		s.origin.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// command runs one of ours against the node, and shows what it says.
func (s *stage) command(args ...string) error {
	fmt.Println("  " + bold("$ rampart "+strings.Join(args, " ")))
	out, err := exec.CommandContext(s.ctx, s.binary, append(args, "--address", s.admin)...).CombinedOutput()
	quote(string(out))
	if err != nil {
		return fmt.Errorf("rampart %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// answer is what came back for a request.
type answer struct {
	status      int
	remediation string
	incident    string
	body        string
}

var (
	unseen = regexp.MustCompile(`(?s)<(style|script|title|svg)[ >].*?</(style|script|title|svg)>`)
	image  = regexp.MustCompile(`<img [^>]*alt="([^"]*)"[^>]*>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// text is the page as it reads, with words for pictures.
func (a answer) text() string {
	var out []string
	page := image.ReplaceAllString(unseen.ReplaceAllString(a.body, ""), "\n[ $1 ]\n")
	for line := range strings.Lines(tags.ReplaceAllString(page, "\n")) {
		if line = strings.TrimSpace(html.UnescapeString(line)); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// get asks the proxy for a page as a browser would, on behalf of from.
func (s *stage) get(from, path string) (answer, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://127.0.0.1:"+s.port+path, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Forwarded-For", from)
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", "Mozilla/5.0 (demo)")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header.Get("X-Rampart-Remediation"),
		resp.Header.Get("X-Rampart-Incident"), string(body)}, err
}

// until waits for something to become true.
func (s *stage) until(what string, ok func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return nil
		}
		if s.ctx.Err() != nil {
			return errors.Join(fmt.Errorf("waiting until %s", what), s.ctx.Err())
		}
	}
	return fmt.Errorf("waited %s in vain until %s", patience, what)
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}
