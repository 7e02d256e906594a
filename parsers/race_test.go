//go:build race

package parsers

// raced: everything is ten times slower, and oracles of one goroutine need not be
// shown to the detector at length.
const raced = true
