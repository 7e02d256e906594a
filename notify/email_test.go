package notify

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// post is a small mail server. It accepts user "u" with password "p".
type post struct {
	l        net.Listener
	identity testkit.Certificate
	direct   bool   // TLS from the start
	refuse   string // an answer to DATA's end
	hang     bool   // says nothing

	mu       sync.Mutex
	helo     string
	auth     string
	secure   bool
	to       []string
	mails    []string
	sessions sync.WaitGroup
}

func newPost(t *testing.T, change func(*post)) *post {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &post{l: l, identity: certificate(t, "mail")}
	if change != nil {
		change(p)
	}
	p.sessions.Add(1)
	go func() {
		defer p.sessions.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.sessions.Add(1)
			go func() {
				defer p.sessions.Done()
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				p.session(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); p.sessions.Wait() })
	return p
}

func (p *post) tls() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.identity.Pair}}
}

func (p *post) session(c net.Conn) {
	if p.hang {
		io.Copy(io.Discard, c)
		return
	}
	if p.direct {
		c = tls.Server(c, p.tls())
	}
	in := bufio.NewReader(c)
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	hear := func() (string, bool) {
		line, err := in.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err == nil
	}
	say("220 mail.example")
	for {
		line, ok := hear()
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			p.note(func() { p.helo = rest })
			say("250-mail.example")
			if _, secure := c.(*tls.Conn); !secure {
				say("250-STARTTLS")
			}
			say("250-8BITMIME")
			say("250 AUTH PLAIN LOGIN CRAM-MD5")
		case "STARTTLS":
			say("220 go on")
			c = tls.Server(c, p.tls())
			in = bufio.NewReader(c)
		case "AUTH":
			if !p.login(rest, say, hear) {
				say("535 no")
				continue
			}
			say("235 welcome")
		case "MAIL":
			say("250 ok")
		case "RCPT":
			p.note(func() { p.to = append(p.to, strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>")) })
			say("250 ok")
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, ok := hear()
				if !ok {
					return
				}
				if line == "." {
					break
				}
				text.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
			}
			if p.refuse != "" {
				say("%s", p.refuse)
				continue
			}
			_, secure := c.(*tls.Conn)
			p.note(func() { p.mails, p.secure = append(p.mails, text.String()), secure })
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (p *post) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// login hears one of the three ways to tell a password.
func (p *post) login(line string, say func(string, ...any), hear func() (string, bool)) bool {
	method, first, _ := strings.Cut(line, " ")
	p.note(func() { p.auth = method })
	ask := func(prompt string) string {
		say("334 %s", base64.StdEncoding.EncodeToString([]byte(prompt)))
		line, _ := hear()
		text, _ := base64.StdEncoding.DecodeString(line)
		return string(text)
	}
	switch method {
	case "PLAIN":
		text, _ := base64.StdEncoding.DecodeString(first)
		return string(text) == "\x00u\x00p"
	case "LOGIN":
		return ask("Username:") == "u" && ask("Password:") == "p"
	case "CRAM-MD5":
		mac := hmac.New(md5.New, []byte("p"))
		mac.Write([]byte("<challenge>"))
		return ask("<challenge>") == "u "+hex.EncodeToString(mac.Sum(nil))
	}
	return false
}

// mailReceiver is the receiver x for a server, which trusts the server's certificate.
func mailReceiver(t *testing.T, p *post, keys string) *receiver {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.l.Addr().String())
	r := read(t, "type: email\nname: x\nsmtp_host: 127.0.0.1\nsmtp_port: "+port+"\nreceiver_emails: [one@example.com, two@example.com]\n"+
		"sender_name: The Wall\nsender_email: wall@example.com\nemail_subject: Sübject\nhelo_host: edge.example\n"+keys).byName["x"]
	r.channel.(*emailSpec).roots = &tls.Config{RootCAs: p.identity.Pool, ServerName: "127.0.0.1"}
	return r
}

func TestEmail(t *testing.T) {
	for _, c := range []struct {
		name, keys, auth string
		direct, secure   bool
	}{
		{"none", "encryption_type: none\nauth_type: none", "", false, false},
		{"plain in the clear", "encryption_type: none\nauth_type: plain\nsmtp_username: u\nsmtp_password: p", "PLAIN", false, false},
		{"login in the clear", "encryption_type: none\nauth_type: login\nsmtp_username: u\nsmtp_password: p", "LOGIN", false, false},
		{"crammd5", "encryption_type: none\nauth_type: crammd5\nsmtp_username: u\nsmtp_password: p", "CRAM-MD5", false, false},
		{"starttls", "encryption_type: starttls\nauth_type: plain\nsmtp_username: u\nsmtp_password: p", "PLAIN", false, true},
		{"ssltls and login, as by default", "smtp_username: u\nsmtp_password: p", "LOGIN", true, true},
		{"ssltls and plain", "auth_type: plain\nsmtp_username: u\nsmtp_password: p", "PLAIN", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPost(t, func(p *post) { p.direct = c.direct })
			text := "<p>" + strings.Repeat("long ", 300) + "ü</p>\n.\n.hidden"
			if err := mailReceiver(t, p, c.keys).send(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.helo != "edge.example" || p.auth != c.auth || p.secure != c.secure || !slices.Equal(p.to, []string{"one@example.com", "two@example.com"}) || len(p.mails) != 1 {
				t.Fatalf("helo %q, auth %q, secure %v, to %q, %d mails", p.helo, p.auth, p.secure, p.to, len(p.mails))
			}
			m, err := netmail.ReadMessage(strings.NewReader(p.mails[0]))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{"From": `"The Wall" <wall@example.com>`, "To": "<one@example.com>, <two@example.com>",
				"Subject": "=?UTF-8?q?S=C3=BCbject?=", "Content-Type": "text/html; charset=UTF-8", "Content-Transfer-Encoding": "quoted-printable"} {
				if got := m.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if at, err := m.Header.Date(); err != nil || time.Since(at).Abs() > time.Hour {
				t.Errorf("date %v, %v", at, err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if got := strings.TrimRight(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n"); err != nil || got != text {
				t.Errorf("body %q, %v", got, err)
			}
		})
	}
}

func TestEmailFaults(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct {
		name, keys, want string
		change           func(*post)
		permanent        bool
	}{
		{"wrong password", "encryption_type: none\nsmtp_username: u\nsmtp_password: " + secret, "535", nil, true},
		{"refused for good", "encryption_type: none\nauth_type: none", "554", func(p *post) { p.refuse = "554 spam" }, true},
		{"refused for now", "encryption_type: none\nauth_type: none", "451", func(p *post) { p.refuse = "451 later" }, false},
		{"hangs", "timeout: 200ms\nencryption_type: none\nauth_type: none", "deadline", func(p *post) { p.hang = true }, false},
		{"hangs before TLS", "connect_timeout: 200ms\nauth_type: none", "deadline", func(p *post) { p.hang = true }, false},
		{"no TLS there", "auth_type: none", "tls", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPost(t, c.change)
			err := mailReceiver(t, p, c.keys).send(t.Context(), "text")
			_, permanent := err.(permanentError)
			if err == nil || !strings.Contains(err.Error(), c.want) || permanent != c.permanent {
				t.Errorf("error %v, permanent %v", err, permanent)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the password: %v", err)
			}
			if len(p.mails) > 0 {
				t.Error("a mail arrived")
			}
		})
	}
}

// TestEmailUntrusted: no password goes to a server that nobody vouches for.
func TestEmailUntrusted(t *testing.T) {
	for _, keys := range []string{"encryption_type: starttls", "encryption_type: ssltls"} {
		p := newPost(t, func(p *post) { p.direct = strings.HasSuffix(keys, "ssltls") })
		r := mailReceiver(t, p, keys+"\nsmtp_username: u\nsmtp_password: p")
		r.channel.(*emailSpec).roots = nil
		if err := r.send(context.Background(), "text"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", keys, err)
		}
		if p.auth != "" {
			t.Errorf("%s: it was told the password by %s", keys, p.auth)
		}
	}
}
