// Package e2e holds tests of the whole binary: real processes, real sockets, real
// files. It has no code that ships.
package e2e
