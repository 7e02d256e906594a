package localapi

import (
	"crypto/rand"
	"os"
	"strings"
)

const (
	idPrefix     = 32 // of a machine's id: that of its operating system
	idSuffix     = 16
	passwordLen  = 64
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// NewMachineID is a name for a machine: the id of its operating system, as far as it
// has one, and 16 random characters. CrowdSec compatible: 48 characters.
func NewMachineID() string {
	text, _ := os.ReadFile("/etc/machine-id") // without one all is random
	id := strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
	if len(id) < idPrefix {
		return randomText(idPrefix + idSuffix)
	}
	return id[:idPrefix] + randomText(idSuffix)
}

// NewPassword is a password for a machine. CrowdSec compatible: 64 characters.
func NewPassword() string { return randomText(passwordLen) }

// randomText is n letters and digits, each as likely as the others.
func randomText(n int) string {
	const fair = 256 / len(alphanumeric) * len(alphanumeric)
	out := make([]byte, 0, n)
	var pool [64]byte
	for len(out) < n {
		_, _ = rand.Read(pool[:]) // never fails
		for _, b := range pool {
			if int(b) < fair && len(out) < n {
				out = append(out, alphanumeric[int(b)%len(alphanumeric)])
			}
		}
	}
	return string(out)
}
