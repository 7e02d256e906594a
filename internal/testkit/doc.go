// Package testkit holds what tests of several packages need: real surroundings
// that come and go with a test. It is no place for helpers of one package, and
// only test files import it.
//
//	test ─► Namespaces ─► two network namespaces, joined by a cable ─► gone with the test
package testkit
