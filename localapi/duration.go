package localapi

import (
	"strconv"
	"time"
)

// appendDuration writes d in whole seconds as Go writes durations: 59m58s, 1h0m0s,
// 0s, -2s.
//
// CrowdSec compatible: rounded to the second, and never days or fractions, which some
// bouncers cannot read.
func appendDuration(dst []byte, d time.Duration) []byte {
	s := int64(d.Round(time.Second) / time.Second)
	if s < 0 {
		dst, s = append(dst, '-'), -s
	}
	if s >= 3600 {
		dst = append(strconv.AppendInt(dst, s/3600, 10), 'h')
	}
	if s >= 60 {
		dst = append(strconv.AppendInt(dst, s/60%60, 10), 'm')
	}
	return append(strconv.AppendInt(dst, s%60, 10), 's')
}

// atLeastSecond is what is left of a decision that is in force. Bouncers take 0s for
// "for ever".
func atLeastSecond(d time.Duration) time.Duration { return max(d, time.Second) }
