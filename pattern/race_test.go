//go:build race

package pattern_test

// The race detector makes pools forget on purpose.
const raceEnabled = true
