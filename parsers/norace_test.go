//go:build !race

package parsers

const raced = false
