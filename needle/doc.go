// Package needle answers which constant texts occur in a text: any of a list, and
// those without which a regexp cannot match.
//
//	constants ─► Set ─► does one occur?     regexp ─► Filter ─► could it match?
//	groups of constants ─► Finder ─► of which does one occur?
//
// It runs no regexp, and knows nothing of events. Sets, finders and filters are
// immutable and safe for concurrent use.
package needle
