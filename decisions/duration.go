package decisions

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const maxDays = int64(math.MaxInt64 / (24 * time.Hour))

// ParseDuration reads a duration as profiles and commands write it: a whole
// number of days first if any ("2d", "1d2h", "-1d2h"), the rest as Go has it
// ("90m"). CrowdSec compatible.
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("duration %q: expected one such as 4h, 90m or 1d12h", s)
		}
		return d, nil
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil || n > maxDays || n < -maxDays {
		return 0, fmt.Errorf("duration %q: expected a whole number of days, at most %d, before the d", s, maxDays)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	r, err := time.ParseDuration(rest)
	if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, fmt.Errorf("duration %q: expected something such as 12h after the days", s)
	}
	if strings.HasPrefix(text, "-") {
		r = -r
	}
	if sum := d + r; (sum < 0) == (d < 0) || d == 0 || sum == 0 {
		return sum, nil
	}
	return 0, fmt.Errorf("duration %q: too long", s)
}
