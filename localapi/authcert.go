package localapi

import (
	"crypto/x509"
	"errors"
	"slices"
)

// Why a certificate is no proof. The client is told none of it.
var (
	errNoCertificate = errors.New("no client certificate that was verified")
	errOU            = errors.New("certificate is of an organisational unit that is not allowed")
	errExpired       = errors.New("certificate is not valid now")
	errRevoked       = errors.New("certificate was revoked")
	errNoName        = errors.New("certificate has no common name")
)

// certificate is the name of the client's certificate, if it was verified, is valid
// at this moment (a connection may outlive it), not revoked, and of one of the units.
func (c *call) certificate(units []string) (name string, err error) {
	if c.r.TLS == nil || len(c.r.TLS.VerifiedChains) == 0 {
		return "", errNoCertificate // one that was only shown proves nothing
	}
	chain := c.r.TLS.VerifiedChains[0]
	leaf := chain[0]
	switch {
	case !slices.ContainsFunc(leaf.Subject.OrganizationalUnit, func(ou string) bool { return slices.Contains(units, ou) }):
		return "", errOU
	case leaf.Subject.CommonName == "":
		return "", errNoName
	case c.now.Before(leaf.NotBefore) || c.now.After(leaf.NotAfter):
		return "", errExpired
	case c.revoked(chain):
		return "", errRevoked
	}
	return leaf.Subject.CommonName, nil
}

// revoked asks the listener's revocation list about every certificate of a chain.
func (c *call) revoked(chain []*x509.Certificate) bool {
	list, _ := c.r.Context().Value(revocationsKey{}).(*revocations)
	return list.revokes(chain)
}
