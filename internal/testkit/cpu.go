package testkit

import (
	"syscall"
	"testing"
	"time"
)

// CPU starts to measure a benchmark by the processor time of the process, which on
// a machine that others use too says more than the wall clock. The function it
// returns reports it as cpu-ns/op:
//
//	defer testkit.CPU(b)()
func CPU(b *testing.B) (report func()) {
	before := Spent(b)
	return func() { b.ReportMetric(float64(Spent(b)-before)/float64(b.N), "cpu-ns/op") }
}

// Spent is the processor time of the process so far.
func Spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
