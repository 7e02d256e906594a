package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"net"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// emailSpec is a mail server and whom to write to. CrowdSec compatible: keys and
// defaults, and that the text is HTML.
type emailSpec struct {
	SMTPHost       string   `yaml:"smtp_host"`
	SMTPPort       int      `yaml:"smtp_port"`
	SMTPUsername   string   `yaml:"smtp_username"`
	SMTPPassword   string   `yaml:"smtp_password"`
	AuthType       string   `yaml:"auth_type"`
	EncryptionType string   `yaml:"encryption_type"`
	SenderName     string   `yaml:"sender_name"`
	SenderEmail    string   `yaml:"sender_email"`
	ReceiverEmails []string `yaml:"receiver_emails"`
	EmailSubject   string   `yaml:"email_subject"`
	HeloHost       string   `yaml:"helo_host"`
	ConnectTimeout duration `yaml:"connect_timeout"`
	SendTimeout    duration `yaml:"send_timeout"`

	roots *tls.Config // in tests: whom to trust
}

const mailTimeout = 10 * time.Second

func newEmailSpec() *emailSpec {
	return &emailSpec{SMTPPort: 25, AuthType: "login", EncryptionType: "ssltls", SenderName: "Rampart",
		SenderEmail: "rampart@localhost", EmailSubject: "Rampart notification", HeloHost: "localhost",
		ConnectTimeout: duration(mailTimeout), SendTimeout: duration(mailTimeout)}
}

func (s *emailSpec) patience() time.Duration { return time.Duration(s.ConnectTimeout + s.SendTimeout) }

func (s *emailSpec) plain(d *Digest) (string, bool) {
	return "<p>" + html.EscapeString(d.String()) + "</p>", true
}

// mailer sends one mail per text, on a connection of its own.
type mailer struct {
	spec *emailSpec
	auth mail.SMTPAuthType
}

func (s *emailSpec) dial() (sender, error) {
	auth, err := s.auth()
	if err != nil {
		return nil, err
	}
	if s.SMTPHost == "" || strings.Contains(s.SMTPHost, "/") {
		return nil, fmt.Errorf("smtp_host: expected a name or address")
	}
	if err := port(s.SMTPPort); err != nil {
		return nil, err
	}
	if len(s.ReceiverEmails) == 0 {
		return nil, fmt.Errorf("receiver_emails: expected at least one")
	}
	for _, at := range append(slices.Clone(s.ReceiverEmails), s.SenderEmail) {
		if _, err := netmail.ParseAddress(at); err != nil {
			return nil, fmt.Errorf("%q is no mail address: %w", at, err)
		}
	}
	m := &mailer{spec: s, auth: auth}
	if _, err := m.client(nil); err != nil {
		return nil, err
	}
	return m, nil
}

// auth says how to prove who is sending. Without encryption passwords go in the
// clear, which the library wants said.
func (s *emailSpec) auth() (mail.SMTPAuthType, error) {
	clear := s.EncryptionType == "none"
	if !clear && s.EncryptionType != "ssltls" && s.EncryptionType != "starttls" {
		return "", fmt.Errorf("encryption_type: %q, expected ssltls, starttls or none", s.EncryptionType)
	}
	switch {
	case s.AuthType == "none":
		return mail.SMTPAuthNoAuth, nil
	case s.AuthType == "crammd5":
		return mail.SMTPAuthCramMD5, nil
	case s.AuthType == "plain" && clear:
		return mail.SMTPAuthPlainNoEnc, nil
	case s.AuthType == "plain":
		return mail.SMTPAuthPlain, nil
	case s.AuthType == "login" && clear:
		return mail.SMTPAuthLoginNoEnc, nil
	case s.AuthType == "login":
		return mail.SMTPAuthLogin, nil
	}
	return "", fmt.Errorf("auth_type: %q, expected none, plain, login or crammd5", s.AuthType)
}

func (s *emailSpec) tls() *tls.Config {
	if s.roots != nil {
		return s.roots
	}
	return &tls.Config{ServerName: s.SMTPHost, MinVersion: tls.VersionTLS12}
}

func (m *mailer) client(dial mail.DialContextFunc) (*mail.Client, error) {
	s := m.spec
	options := []mail.Option{mail.WithPort(s.SMTPPort), mail.WithTimeout(time.Duration(s.SendTimeout)), mail.WithHELO(s.HeloHost),
		mail.WithTLSConfig(s.tls()), mail.WithSMTPAuth(m.auth), mail.WithUsername(s.SMTPUsername), mail.WithPassword(s.SMTPPassword)}
	switch s.EncryptionType {
	case "ssltls":
		options = append(options, mail.WithSSL())
	case "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if dial != nil {
		options = append(options, mail.WithDialContextFunc(dial))
	}
	return mail.NewClient(s.SMTPHost, options...)
}

func (m *mailer) close() {}

func (m *mailer) send(ctx context.Context, text string) error {
	msg := mail.NewMsg()
	if err := msg.FromFormat(m.spec.SenderName, m.spec.SenderEmail); err != nil {
		return permanentError{err}
	}
	if err := msg.To(m.spec.ReceiverEmails...); err != nil {
		return permanentError{err}
	}
	msg.Subject(m.spec.EmailSubject)
	msg.SetDate()
	msg.SetBodyString(mail.TypeTextHTML, text)
	c := &connection{spec: m.spec}
	client, err := m.client(c.dial)
	if err != nil {
		return permanentError{err}
	}
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	defer c.close() // the library leaves it open when the server refuses
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return m.judge(ctx, msg, err)
	}
	return nil
}

// judge: a mail that was accepted counts, whatever the server says at the end; one
// that was refused for good is not sent again.
func (m *mailer) judge(ctx context.Context, msg *mail.Msg, err error) error {
	if msg.IsDelivered() {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	err = fmt.Errorf("sending by %s: %w", net.JoinHostPort(m.spec.SMTPHost, strconv.Itoa(m.spec.SMTPPort)), err)
	var refused *mail.SendError
	var answer *textproto.Error
	if errors.As(err, &refused) && refused.ErrorCode() >= 500 || errors.As(err, &answer) && answer.Code >= 500 {
		return permanentError{err}
	}
	return err
}
