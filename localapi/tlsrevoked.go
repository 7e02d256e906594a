package localapi

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// revocationsKey is where a listener's requests carry its *revocations.
type revocationsKey struct{}

// revocations are asked about a certificate at each request, since a connection may
// be older than the list.
type revocations struct{ files *tlsFiles }

// revokes tells whether any certificate of a chain is on the list.
func (r *revocations) revokes(chain []*x509.Certificate) bool {
	if r == nil {
		return false
	}
	list := r.files.current().revoked
	return list != nil && slices.ContainsFunc(chain, list.has)
}

// revocationList is what the lists of a file say.
type revocationList struct {
	serials map[string]struct{} // by issuer and number
	until   time.Time           // when the first of them is out of date
}

func (l *revocationList) has(c *x509.Certificate) bool {
	_, ok := l.serials[serialKey(c.RawIssuer, c.SerialNumber)]
	return ok
}

func serialKey(issuer []byte, n *big.Int) string { return string(issuer) + "\x00" + n.String() }

// readCRL reads lists that one of cas signed, in PEM or one in DER.
func readCRL(path string, cas []*x509.Certificate) (*revocationList, error) {
	rest, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	ders := [][]byte{rest}
	if block, more := pem.Decode(rest); block != nil {
		ders = nil
		for ; block != nil; block, more = pem.Decode(more) {
			if block.Type == "X509 CRL" {
				ders = append(ders, block.Bytes)
			}
		}
	}
	if len(ders) == 0 {
		return nil, fmt.Errorf("reading %s: there is no list in it", path)
	}
	l := &revocationList{serials: map[string]struct{}{}}
	for _, der := range ders {
		if err := l.add(der, cas); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return l, nil
}

func (l *revocationList) add(der []byte, cas []*x509.Certificate) error {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return crl.CheckSignatureFrom(ca) == nil }) {
		return fmt.Errorf("the list of %s is not signed by a CA of the listener", crl.Issuer)
	}
	if l.until.IsZero() || crl.NextUpdate.Before(l.until) {
		l.until = crl.NextUpdate
	}
	for _, e := range crl.RevokedCertificateEntries {
		l.serials[serialKey(crl.RawIssuer, e.SerialNumber)] = struct{}{}
	}
	return nil
}
