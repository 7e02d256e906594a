package localapi

import "time"

// Machine is one log processor, or one cscli, as the Registry knows it.
type Machine struct {
	Name string
	// PasswordHash is bcrypt's, "" for a machine that shows a certificate.
	PasswordHash string
	IP           string
	Version      string
	Auth         string // AuthPassword or AuthTLS
	Validated    bool
	// Auto: it registered and validated itself with a token, TokenHash.
	Auto          bool
	TokenHash     string
	Created       time.Time
	Updated       time.Time // the row itself, not its figures
	LastPush      time.Time
	LastHeartbeat time.Time
	// Scenarios are the names that its last login told; not to be changed.
	Scenarios []string
}
