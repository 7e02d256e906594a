package localapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

const (
	headTimeout  = 10 * time.Second
	bodyTimeout  = 2 * time.Minute // head and body: 50 MiB over a slow line
	writeTimeout = 10 * time.Minute
	idleTimeout  = 2 * time.Minute // CrowdSec's clients come back within a minute
	maxHead      = 64 << 10
	maxConns     = 4096 // of each address
	socketMode   = 0o660
)

// ListenConfig says where to serve. At least one of Address and Socket is needed.
type ListenConfig struct {
	// Address is HOST:PORT.
	Address string
	// Socket is the path of a unix socket. One that nobody serves any more is
	// replaced. Never with TLS.
	Socket string
	// SocketMode are the socket's permissions, 0660 if zero. Who may write to it has
	// the privileges of loopback.
	SocketMode fs.FileMode
	// TLS, if its Cert is set, is for Address.
	TLS TLSConfig
}

// Listener serves a handler: HTTP/1.1, HTTP/2 over TLS and, without TLS, HTTP/2 in
// the clear.
type Listener struct {
	server *http.Server
	at     []net.Listener
	logger *zap.Logger
	done   sync.WaitGroup
}

// Listen begins to serve h. With an error nothing is left behind.
func Listen(c ListenConfig, h http.Handler, logger *zap.Logger) (*Listener, error) {
	quiet, err := zap.NewStdLogAt(logger, zap.DebugLevel) // what is wrong with a client is no news
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	l := &Listener{logger: logger, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		Protocols:         &http.Protocols{},
		ErrorLog:          quiet,
	}}
	l.server.Protocols.SetHTTP1(true)
	l.server.Protocols.SetHTTP2(true)
	l.server.Protocols.SetUnencryptedHTTP2(true)
	if c.Address == "" && c.Socket == "" {
		return nil, errors.New("listening: neither an address nor a socket is given")
	}
	if err := l.open(c); err != nil {
		l.abandon()
		return nil, err
	}
	for _, at := range l.at {
		l.done.Go(func() { l.accept(at) })
	}
	return l, nil
}

func (l *Listener) open(c ListenConfig) error {
	if c.Address != "" {
		at, err := net.Listen("tcp", c.Address)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", c.Address, err)
		}
		at = netutil.LimitListener(at, maxConns)
		l.at = append(l.at, at)
		if c.TLS.Cert != "" {
			files, err := openTLSFiles(c.TLS, time.Now, l.logger)
			if err != nil {
				return err
			}
			l.at[0] = tls.NewListener(at, &tls.Config{
				MinVersion:         tls.VersionTLS12,
				NextProtos:         []string{"h2", "http/1.1"},
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.current().config, nil },
			})
			l.server.BaseContext = func(net.Listener) context.Context {
				return context.WithValue(context.Background(), revocationsKey{}, &revocations{files})
			}
		}
	}
	if c.Socket != "" {
		at, err := listenUnix(c.Socket, c.SocketMode)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", c.Socket, err)
		}
		l.at = append(l.at, netutil.LimitListener(at, maxConns))
	}
	return nil
}

func (l *Listener) abandon() {
	for _, at := range l.at {
		_ = at.Close()
	}
}

// listenUnix replaces a socket that nobody serves any more.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode().Type() != fs.ModeSocket {
			return nil, errors.New("there is something that is no socket; remove it or name another path")
		}
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = conn.Close()
			return nil, errors.New("another process serves it")
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the old socket: %w", err)
		}
	}
	at, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if mode == 0 {
		mode = socketMode
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = at.Close()
		return nil, fmt.Errorf("setting permissions: %w", err)
	}
	return at, nil
}

func (l *Listener) accept(at net.Listener) {
	if err := l.server.Serve(at); err != nil && !errors.Is(err, http.ErrServerClosed) {
		l.logger.Error("the Local API does not serve an address any more", zap.String("address", at.Addr().String()), zap.Error(err))
	}
}

// Addrs are where it listens, the address before the socket.
func (l *Listener) Addrs() []net.Addr {
	var all []net.Addr
	for _, at := range l.at {
		all = append(all, at.Addr())
	}
	return all
}

// Close stops listening and awaits the calls under way; when ctx ends, those that
// are left are cut off. Close the Server first, which wakes those that wait.
func (l *Listener) Close(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("closing the Local API: %w", errors.Join(err, l.server.Close()))
	}
	l.done.Wait()
	return err
}
