package hub

import (
	"path/filepath"
	"strings"
)

// Theirs reports whether a problem is with an item of the Hub, or with what one of
// its collections lists: the operator can do nothing about it, and the rest works
// without that item. Anything else is for the operator to mend.
func (c *Catalogue) Theirs(p *Problem) bool {
	return c.hub != "" && strings.HasPrefix(p.Path, c.hub+string(filepath.Separator))
}
