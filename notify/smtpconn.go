package notify

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// connection is the one of a try, so that it can be closed from outside.
type connection struct {
	spec *emailSpec

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// dial connects, with TLS from the start where the server wants it so.
func (c *connection) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.spec.ConnectTimeout))
	defer cancel()
	var conn net.Conn
	var err error
	if c.spec.EncryptionType == "ssltls" {
		conn, err = (&tls.Dialer{Config: c.spec.tls()}).DialContext(ctx, network, address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, context.Canceled
	}
	c.conn = conn
	return conn, nil
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		c.conn.Close()
	}
}
