package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		far  int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"sshd-log", "sshd-logs", 1}, {"abc", "abc", 0}} {
		if got := distance(c.a, c.b); got != c.far {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.far)
		}
	}
}
