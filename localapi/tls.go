package localapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	maxTLSFile = 32 << 20
	lookEvery  = time.Second // how often files are looked at, at most
)

// TLSConfig are the files of a listener's certificate and of those of its clients,
// in PEM. They are read again when they change.
type TLSConfig struct {
	Cert, Key string
	// CA is who signs clients' certificates. Without one no certificate is verified.
	CA string
	// CRL lists certificates that are revoked, in PEM or DER; CA signed it.
	CRL string
	// ClientAuth is NoClientCert, RequestClientCert, RequireAnyClientCert,
	// VerifyClientCertIfGiven (the default) or RequireAndVerifyClientCert. Only a
	// certificate that was verified ever lets anyone in.
	ClientAuth string
}

// clientAuth reads ClientAuth.
func (c *TLSConfig) clientAuth() (tls.ClientAuthType, error) {
	for _, t := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert,
		tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
		if t.String() == c.ClientAuth {
			return t, nil
		}
	}
	if c.ClientAuth == "" {
		return tls.VerifyClientCertIfGiven, nil
	}
	return 0, fmt.Errorf("client verification %q is not known: NoClientCert, RequestClientCert, RequireAnyClientCert, "+
		"VerifyClientCertIfGiven or RequireAndVerifyClientCert", c.ClientAuth)
}

// tlsState is what the files said when they were read last.
type tlsState struct {
	config  *tls.Config
	revoked *revocationList // nil without a CRL
}

// tlsFiles keeps a tlsState that is as new as the files. A change that cannot be read
// leaves the old state in force and is logged once.
type tlsFiles struct {
	config TLSConfig
	auth   tls.ClientAuthType
	now    func() time.Time
	logger *zap.Logger

	state atomic.Pointer[tlsState]
	next  atomic.Int64 // when to look at the files again

	mu   sync.Mutex
	seen [4]fileMark
}

// fileMark tells one state of a file from another.
type fileMark struct {
	size     int64
	modified time.Time
}

func openTLSFiles(c TLSConfig, now func() time.Time, logger *zap.Logger) (*tlsFiles, error) {
	auth, err := c.clientAuth()
	if err != nil {
		return nil, err
	}
	f := &tlsFiles{config: c, auth: auth, now: now, logger: logger}
	f.seen = f.look()
	state, err := f.read()
	if err != nil {
		return nil, err
	}
	f.state.Store(state)
	return f, nil
}

// current is the state of the files, looked at once a second.
func (f *tlsFiles) current() *tlsState {
	now := f.now().UnixNano()
	next := f.next.Load()
	if now < next || !f.next.CompareAndSwap(next, now+int64(lookEvery)) {
		return f.state.Load()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.look()
	if seen == f.seen {
		return f.state.Load()
	}
	f.seen = seen
	state, err := f.read()
	if err != nil {
		f.logger.Error("the Local API's certificates changed and cannot be used; the former ones stay", zap.Error(err))
		return f.state.Load()
	}
	f.state.Store(state)
	f.logger.Info("the Local API's certificates were read again")
	return state
}

func (f *tlsFiles) look() (seen [4]fileMark) {
	for i, path := range []string{f.config.Cert, f.config.Key, f.config.CA, f.config.CRL} {
		if fi, err := os.Stat(path); path != "" && err == nil {
			seen[i] = fileMark{fi.Size(), fi.ModTime()}
		}
	}
	return seen
}

func (f *tlsFiles) read() (*tlsState, error) {
	cert, err := tls.LoadX509KeyPair(f.config.Cert, f.config.Key)
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s: %w", f.config.Cert, err)
	}
	cas, err := readCAs(f.config.CA)
	if err != nil {
		return nil, err
	}
	state := &tlsState{config: &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   f.auth,
		ClientCAs:    x509.NewCertPool(), // never nil: that would be the system's
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}}
	for _, ca := range cas {
		state.config.ClientCAs.AddCert(ca)
	}
	if f.config.CRL == "" {
		return state, nil
	}
	state.revoked, err = readCRL(f.config.CRL, cas)
	if err != nil {
		return nil, err
	}
	if f.now().After(state.revoked.until) {
		f.logger.Warn("the list of revoked certificates is out of date; it is used all the same",
			zap.String("file", f.config.CRL), zap.Time("ended", state.revoked.until))
	}
	return state, nil
}

// readCAs reads all certificates of a file, none where there is no file to be read.
func readCAs(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	rest, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	var cas []*x509.Certificate
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		cas = append(cas, ca)
	}
	if len(cas) == 0 {
		return nil, fmt.Errorf("reading %s: there is no certificate in it", path)
	}
	return cas, nil
}

func readLimited(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err == nil && fi.Size() > maxTLSFile {
		err = errors.New("it is too large")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return b, nil
}
