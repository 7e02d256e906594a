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
	"net/http"
	"os"
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

func run(ctx context.Context, binary string) error {
	s, err := open(ctx, binary)
	if err != nil {
		return err
	}
	defer s.close()
	begun := time.Now()
	for _, act := range []func() error{s.introduce, s.visit, s.scan, s.login, s.overview} {
		if err := act(); err != nil {
			return err
		}
	}
	title("That was it")
	say("All of it in %.1f seconds, and the site was there for everybody else all the while.", time.Since(begun).Seconds())
	say("Nothing of it is left on this machine. Next: Caddyfile.example and docs/config.md.")
	return nil
}

// introduce shows how little there is to configure.
func (s *stage) introduce() error {
	title("A reverse proxy that defends itself: this is the whole configuration")
	quote(s.caddyfile())
	say("Clients are named in X-Forwarded-For here, as a load balancer would do it.")
	return nil
}

// visit shows that people are let through.
func (s *stage) visit() error {
	title("1  A visitor, " + visitor)
	a, err := s.get(visitor, "/about")
	if err != nil {
		return err
	}
	t := &tally{}
	t.add("/about", a)
	t.end()
	if a.status != http.StatusOK {
		return fmt.Errorf("the visitor got %d instead of the page", a.status)
	}
	return nil
}

// scan looks for what should not be there, is challenged, does not care, and is
// refused.
func (s *stage) scan() error {
	title("2  A scanner, " + scanner + ", looks for what should not be there")
	paths := []string{"/.env", "/.git/config", "/backup.sql", "/.aws/credentials", "/wp-config.php.bak", "/id_rsa"}
	t, challenged := &tally{}, false
	end := time.Now().Add(patience)
	for i := 0; time.Now().Before(end); i++ {
		path := paths[i%len(paths)]
		if i >= len(paths) {
			path = fmt.Sprintf("%s?try=%d", path, i)
		}
		a, err := s.get(scanner, path)
		if err != nil {
			return err
		}
		t.add(path, a)
		if a.remediation == "captcha" && !challenged {
			challenged = true
			t.end()
			say("The request that went too far is answered by a challenge page:")
			quote(a.text())
			say("People type the digits and go on to where they were going. The scanner does not:")
		}
		if a.remediation == "ban" {
			t.end()
			say("The page shows an incident id. Its owner can ask about it:")
			return s.command("why", a.incident)
		}
		time.Sleep(5 * time.Millisecond) // detection runs beside the requests, and this machine may be busy
	}
	t.end()
	return fmt.Errorf("the scanner was not refused within %s", patience)
}

// login writes what sshd writes while somebody guesses passwords.
func (s *stage) login() error {
	title("3  Over SSH " + intruder + " guesses passwords: sshd writes to auth.log")
	f, err := os.OpenFile(s.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	shown := ""
	for i := range 8 {
		line := fmt.Sprintf("%s demo sshd[%d]: Failed password for invalid user admin from %s port %d ssh2\n",
			time.Now().Format(time.Stamp), 4000+i, intruder, 40000+i)
		if i < 2 {
			shown += line
		}
		if _, err := f.WriteString(line); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	quote(shown + "… and six more like these\n")
	say("The web site has heard of it:")
	var a answer
	err = s.until("the intruder is banned", func() bool {
		a, err = s.get(intruder, "/")
		return err == nil && a.status == http.StatusForbidden
	})
	if err != nil {
		return err
	}
	t := &tally{}
	t.add("/", a)
	t.end()
	return s.command("why", intruder)
}

// overview shows what an operator sees.
func (s *stage) overview() error {
	title("4  What the operator sees")
	if err := s.command("decisions", "list"); err != nil {
		return err
	}
	return s.command("status")
}
