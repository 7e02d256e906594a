//go:build race

package geoip_test

// The race detector makes pools forget on purpose.
const raceEnabled = true
