package localapi

import (
	"testing"
	"time"
)

func TestDurationText(t *testing.T) {
	for _, d := range []time.Duration{
		0, 1, time.Second - 1, time.Second / 2, time.Second, 59*time.Second + 400*time.Millisecond, time.Minute, time.Hour - 1,
		time.Hour, 90 * time.Minute, 168*time.Hour - time.Second, 17 * 365 * 24 * time.Hour, -1, -2 * time.Second, -26 * time.Hour,
	} {
		want := d.Round(time.Second).String()
		if got := string(appendDuration(nil, d)); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}

func FuzzDurationText(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(-5_400_000_000_001))
	f.Add(int64(1) << 62)
	f.Fuzz(func(t *testing.T, n int64) {
		d := time.Duration(n)
		if want, got := d.Round(time.Second).String(), string(appendDuration([]byte("x"), d)); got != "x"+want && d.Round(time.Second)%time.Second == 0 {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	})
}
