package firewall

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// cpuTime is what this process has used, the kernel's work for it included.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyBans returns n different addresses from 11.0.0.0 on.
func manyBans(n int) []Ban {
	until := time.Now().Add(4 * time.Hour)
	bans := make([]Ban, n)
	for i := range bans {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 11<<24+uint32(i))
		bans[i] = Ban{Prefix: netip.PrefixFrom(netip.AddrFrom4(a), 32), Until: until, Origin: "lists:test"}
	}
	return bans
}

func started(tb testing.TB, ns *testkit.Namespace, o Options, bans []Ban, allow ...netip.Prefix) *Table {
	tb.Helper()
	table := New(o)
	if err := ns.Do(func() error { return table.Start(context.Background(), BansOf(bans...), allow) }); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := table.Close(false); err != nil {
			tb.Error(err)
		}
	})
	return table
}

// BenchmarkAdd is one ban into a full table, and its removal: two transactions.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ns := testkit.SingleNamespace(b)
			table := started(b, ns, Options{Owner: true}, manyBans(n))
			ban := Ban{Prefix: netip.MustParsePrefix("10.1.2.3/32"), Until: time.Now().Add(time.Hour), Origin: "cscli"}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if err := table.Add(ban); err != nil {
					b.Fatal(err)
				}
				if err := table.Remove(ban.Prefix); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(2*b.N), "cpu-µs/change")
		})
	}
}

// BenchmarkLoad fills an empty table, by Start and by Set.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		bans := manyBans(n)
		for _, how := range []string{"Start", "Set", "SetEqual"} {
			b.Run(fmt.Sprintf("%s/%d", how, n), func(b *testing.B) {
				ns := testkit.SingleNamespace(b)
				var spent time.Duration
				b.ReportAllocs()
				for b.Loop() {
					table := New(Options{Owner: true})
					before := cpuTime(b)
					if err := ns.Do(func() error {
						ctx := context.Background()
						if how == "Start" {
							return table.Start(ctx, BansOf(bans...), nil)
						}
						if err := table.Start(ctx, Bans{}, nil); err != nil {
							return err
						}
						if how == "SetEqual" {
							if err := table.Set(ctx, BansOf(bans...), nil); err != nil {
								return err
							}
							before = cpuTime(b)
						}
						return table.Set(ctx, BansOf(bans...), nil)
					}); err != nil {
						b.Fatal(err)
					}
					spent += cpuTime(b) - before
					if err := table.Close(false); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/element")
			})
		}
	}
}
