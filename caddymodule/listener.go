package caddymodule

import (
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// ListenerWrapper closes connections of banned peers before a word is said, TLS
// handshake included. Refused clients see no page then. The peer is what counts
// here: behind a proxy that is the proxy, which is never banned.
//
// Put it before the tls wrapper. After proxy_protocol it sees the address that
// the proxy passes on.
type ListenerWrapper struct {
	node *node
}

// CaddyModule implements caddy.Module.
func (ListenerWrapper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners.rampart", New: func() caddy.Module { return new(ListenerWrapper) }}
}

// Provision implements caddy.Provisioner.
func (l *ListenerWrapper) Provision(ctx caddy.Context) error {
	app, err := configuredApp(ctx)
	if err == nil {
		l.node = app.node
	}
	return err
}

// UnmarshalCaddyfile sets up the wrapper; it has no options. Syntax:
//
//	rampart
func (l *ListenerWrapper) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(0) {
		return d.Err("the listener wrapper rampart takes no arguments")
	}
	return nil
}

// WrapListener implements caddy.ListenerWrapper.
func (l *ListenerWrapper) WrapListener(ln net.Listener) net.Listener {
	return &doorListener{Listener: ln, door: l.node}
}

// door tells which peers are turned away.
type door interface {
	Refuses(peer netip.Addr) bool
}

type doorListener struct {
	net.Listener
	door door
}

// Accept returns the next connection that is not turned away. It does nothing
// that can block beyond accepting: where asking for the address may mean reading
// from the connection, the question waits for the first Read.
func (l *doorListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch tcp, known := tcpOf(c); {
		case tcp != nil:
			if !l.door.Refuses(peerOf(tcp.RemoteAddr())) {
				return c, nil
			}
			_ = tcp.SetLinger(0) // reset: no state is kept for it, and none of its bytes matter
			_ = tcp.Close()
		case known:
			return c, nil
		default:
			return &lateConn{Conn: c, door: l.door}, nil
		}
	}
}

// tcpOf finds the TCP connection below c without calling anything that may read.
// known is also true for connections that are passed on unseen: those without an
// address, and those that end TLS above something unknown, for wrapping these
// would hide their TLS state from the server.
func tcpOf(c net.Conn) (tcp *net.TCPConn, known bool) {
	for {
		switch conn := c.(type) {
		case *net.TCPConn:
			return conn, true
		case *net.UnixConn:
			return nil, true
		case interface{ NetConn() net.Conn }: // *tls.Conn
			if tcp, _ = tcpOf(conn.NetConn()); tcp != nil {
				return tcp, true
			}
			return nil, true
		}
		return nil, false
	}
}

// peerOf is the address of a peer, or the zero Addr, which nothing refuses.
func peerOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().WithZone("").Unmap()
	}
	if addr == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().WithZone("").Unmap()
}

// lateConn asks about its peer when it is first read from, on the connection's
// own goroutine.
type lateConn struct {
	net.Conn
	door    door
	once    sync.Once
	refused bool
}

// Read implements net.Conn. A refused connection is at its end.
func (c *lateConn) Read(p []byte) (int, error) {
	c.once.Do(func() {
		if c.refused = c.door.Refuses(peerOf(c.RemoteAddr())); c.refused {
			_ = c.Close()
		}
	})
	if c.refused {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// ReadFrom keeps sendfile where the connection below has it.
func (c *lateConn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite keeps half-closing where the connection below has it.
func (c *lateConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
