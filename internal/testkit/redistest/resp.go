package redistest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// callTimeout is generous: the machine may be busy.
const callTimeout = 20 * time.Second

// conn is a connection that speaks RESP 2.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr string, config *tls.Config, user, password string) (*conn, error) {
	d := &net.Dialer{Timeout: time.Second}
	var c net.Conn
	var err error
	if config != nil {
		c, err = tls.DialWithDialer(d, "tcp", addr, config)
	} else {
		c, err = d.Dial("tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	out := &conn{c, bufio.NewReader(c)}
	if password != "" {
		auth := []string{"AUTH", user, password}
		if user == "" {
			auth = []string{"AUTH", password}
		}
		if _, err := out.do(auth...); err != nil {
			_ = out.Close()
			return nil, err
		}
	}
	return out, nil
}

// do sends a command and returns its answer: a string, an int64, nil or a []any.
func (c *conn) do(args ...string) (any, error) {
	_ = c.SetDeadline(time.Now().Add(callTimeout))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	return c.read()
}

func (c *conn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty answer")
	}
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return nil, errors.New(line[1:])
	}
	n, err := strconv.ParseInt(line[1:], 10, 64)
	switch {
	case err != nil:
		return nil, err
	case line[0] == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case line[0] == '$':
		buf := make([]byte, n+2)
		_, err := io.ReadFull(c.r, buf)
		return string(buf[:n]), err
	case line[0] == '*':
		out := make([]any, n)
		for i := range out {
			if out[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("odd answer %q", line)
}
