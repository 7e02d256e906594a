//go:build race

package expression_test

// The race detector makes pools forget on purpose.
const raceEnabled = true
