package localapi

import "time"

// Kinds of authentication a row was made for. Neither opens the other's row.
const (
	AuthKey      = "api-key"
	AuthPassword = "password"
	AuthTLS      = "tls"
)

// maxCursors bounds the types of User-Agent one bouncer's row keeps a cursor for.
const maxCursors = 16

// Bouncer is one remediation component as the Registry knows it. One key that is
// used from several addresses has a row for each: the first address binds the row
// itself, others get rows NAME@ADDRESS of their own, with their own cursors.
type Bouncer struct {
	Name string
	// Base is, of a row made for an address, the name of the row that has the key,
	// or of a certificate's row the certificate's name. Else "".
	Base string
	// KeyHash is the lower-case hex SHA-512 of the key. Rows of a certificate have
	// none, and neither have those made for further addresses: they live and die
	// with the row of the key.
	// CrowdSec compatible: rows of its database can be taken over as they are.
	KeyHash string
	// IP is the address that the row is bound to, "" until its first call.
	IP string
	// Type and Version are the two halves of the last User-Agent. One without
	// exactly one slash is all type, of version N/A.
	Type, Version string
	Auth          string // AuthKey or AuthTLS
	AutoCreated   bool
	Created       time.Time
	Updated       time.Time // the row itself, not its figures
	LastPull      time.Time
	// Cursors are how far each type of User-Agent has been told, at most 16. The map
	// is never changed, only replaced.
	Cursors map[string]Cursor
}

// Cursor is where a bouncer's stream stands: in the Book's changes and in its lists,
// of an epoch of the Book, and when that was.
type Cursor struct {
	Epoch   string    `json:"epoch,omitempty"`
	Journal int64     `json:"journal,omitempty"`
	Lists   int64     `json:"lists,omitempty"`
	At      time.Time `json:"at"`
	// Left are the values, one a line, of which the answer before this cursor left
	// something out that the next one has to tell.
	Left string `json:"left,omitempty"`
}
