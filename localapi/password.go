package localapi

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptCost  = 10 // CrowdSec compatible
	maxPassword = 72 // bytes, bcrypt's own limit
)

// ErrPassword is in the chain of what is returned for a password that cannot be kept.
var ErrPassword = errors.New("password must have 1 to 72 bytes")

// newKey is a bouncer's key.
// CrowdSec compatible: 32 random bytes in base64 without the padding.
func newKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawStdEncoding.EncodeToString(b[:])
}

// hashKey is what is kept of a key. The keys are random, so a plain hash is as good
// as a slow or keyed one, and rows taken over from CrowdSec need no second way.
// CrowdSec compatible: lower-case hex of SHA-512.
func hashKey(key string) string {
	sum := sha512.Sum512([]byte(key))
	return hex.EncodeToString(sum[:])
}

// hashPassword takes some 50 ms of a core.
func hashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", ErrPassword
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if err != nil {
		return "", fmt.Errorf("hashing the password: %w", err)
	}
	return string(h), nil
}
