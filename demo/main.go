// Command demo attacks a Rampart that it starts itself, on loopback, and shows
// what happens: an HTTP scan that is challenged and then refused, an SSH brute
// force read from a growing log, and the reasons for both.
//
//	demo PATH-TO-RAMPART
//
// Its attackers are documentation addresses in X-Forwarded-For; 127.0.0.1 is the
// trusted proxy that names them. It needs no root and sends nothing beyond
// loopback.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Who is who in the demo (RFC 5737 addresses).
const (
	visitor  = "198.51.100.10"
	scanner  = "203.0.113.7"
	intruder = "192.0.2.66"
)

// patience is how long the demo waits for any one thing.
const patience = 20 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demo PATH-TO-RAMPART")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		cancel()
		os.Exit(1)
	}
}

// stage is the running demo.
type stage struct {
	ctx    context.Context
	binary string
	dir    string
	site   string // of the proxy
	admin  string
	log    string // the growing auth.log
	node   *exec.Cmd
}

func run(ctx context.Context, binary string) error {
	s := &stage{ctx: ctx}
	var err error
	if s.binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "rampart-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	origin, err := startOrigin()
	if err != nil {
		return err
	}
	defer origin.Close()
	if err := s.start(origin.Addr().String()); err != nil {
		return err
	}
	defer s.stop()
	for _, act := range []func() error{s.visit, s.scan, s.login, s.status} {
		if err := act(); err != nil {
			return err
		}
	}
	title("That was it")
	fmt.Println("The site was up all the while for everybody else. Nothing of this is left on this machine.")
	return nil
}

// startOrigin is the site behind the proxy: three pages, and nothing else.
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

func (s *stage) start(origin string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.site = "http://127.0.0.1:" + port
	s.admin = "unix/" + filepath.Join(s.dir, "admin.sock")
	s.log = filepath.Join(s.dir, "auth.log")
	if err := os.WriteFile(s.log, nil, 0o600); err != nil {
		return err
	}
	conf := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(conf, []byte(s.caddyfile(port, origin)), 0o600); err != nil {
		return err
	}
	title("A reverse proxy, and the whole configuration of its defence")
	fmt.Print(indent(s.caddyfile(port, origin)))
	s.node = exec.CommandContext(s.ctx, s.binary, "run", "--config", conf, "--adapter", "caddyfile")
	s.node.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "HOME="+s.dir)
	logs, err := os.Create(filepath.Join(s.dir, "rampart.log"))
	if err != nil {
		return err
	}
	s.node.Stdout, s.node.Stderr = logs, logs
	if err := s.node.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.binary, err)
	}
	if err := s.until("the proxy answers", func() bool {
		r, err := s.get(visitor, "/")
		return err == nil && r.status == http.StatusOK
	}); err != nil {
		out, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("%w; its log:\n%s", err, out)
	}
	return nil
}

func (s *stage) caddyfile(port, origin string) string {
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
`, s.admin, filepath.Join(s.dir, "state"), s.log, port, origin)
}

func (s *stage) stop() {
	if s.node == nil || s.node.Process == nil {
		return
	}
	_ = s.node.Process.Signal(os.Interrupt)
	_ = s.node.Wait() // an interrupted process has no error worth telling
}

// visit shows that people are let through.
func (s *stage) visit() error {
	title("A visitor, " + visitor)
	r, err := s.get(visitor, "/about")
	if err != nil {
		return err
	}
	r.show("GET /about")
	if r.status != http.StatusOK {
		return fmt.Errorf("the visitor got %d instead of the page", r.status)
	}
	return nil
}

// scan looks for what should not be there, is challenged, does not care, and is
// refused.
func (s *stage) scan() error {
	title("A scanner, " + scanner + ", looks for what should not be there")
	paths := []string{"/.env", "/.git/config", "/backup.sql", "/.aws/credentials", "/wp-config.php.bak", "/id_rsa"}
	last := 0
	incident := ""
	for i := 0; i < 200; i++ {
		path := paths[i%len(paths)]
		if i >= len(paths) {
			path = fmt.Sprintf("%s?try=%d", path, i)
		}
		r, err := s.get(scanner, path)
		if err != nil {
			return err
		}
		if r.status != last || r.remediation != "" && incident == "" {
			r.show("GET " + path)
			last = r.status
		}
		if r.remediation == "captcha" && incident == "" {
			incident = r.incident
			fmt.Printf("  %s\n", "(a challenge page: solve it and you are let through)")
		}
		if r.remediation == "ban" {
			r.show("GET " + path)
			fmt.Printf("  refused after %d requests; the visitor's page says incident %s\n", i+1, r.incident)
			if incident == "" {
				return fmt.Errorf("the scanner was refused without having been challenged")
			}
			return s.why(r.incident)
		}
	}
	return fmt.Errorf("the scanner was never refused")
}

// login writes what sshd writes while somebody guesses passwords.
func (s *stage) login() error {
	title("SSH: " + intruder + " guesses passwords (lines appended to auth.log)")
	f, err := os.OpenFile(s.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range 8 {
		line := fmt.Sprintf("%s demo sshd[%d]: Failed password for invalid user admin from %s port %d ssh2\n",
			time.Now().Format(time.Stamp), 4000+i, intruder, 40000+i)
		if i == 0 || i == 7 {
			fmt.Print("  " + line)
		}
		if _, err := f.WriteString(line); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	err = s.until("the intruder is banned", func() bool {
		r, err := s.get(intruder, "/")
		return err == nil && r.status == http.StatusForbidden
	})
	if err != nil {
		return err
	}
	r, err := s.get(intruder, "/")
	if err != nil {
		return err
	}
	fmt.Println("  and over HTTP the same address now gets:")
	r.show("GET /")
	return s.why(intruder)
}

func (s *stage) status() error {
	title("rampart decisions list")
	if err := s.command("decisions", "list"); err != nil {
		return err
	}
	title("rampart status")
	return s.command("status")
}

func (s *stage) why(subject string) error {
	title("rampart why " + subject)
	return s.command("why", subject)
}

// command runs one of ours against the node, and shows what it says.
func (s *stage) command(args ...string) error {
	cmd := exec.CommandContext(s.ctx, s.binary, append(args, "--address", s.admin)...)
	out, err := cmd.CombinedOutput()
	fmt.Print(indent(string(out)))
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

func (a answer) show(request string) {
	extra := ""
	if a.remediation != "" {
		extra = "  " + a.remediation + ", incident " + a.incident
	}
	fmt.Printf("  %-28s → %d %s%s\n", request, a.status, http.StatusText(a.status), extra)
}

// get asks the proxy for a page as a browser would, on behalf of from.
func (s *stage) get(from, path string) (answer, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.site+path, nil)
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
			break
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

func title(text string) { fmt.Printf("\n\033[1m%s\033[0m\n", text) }

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
