// Package spelling finds what somebody may have meant by a name that nobody knows.
//
//	wrong name, known names ─► the nearest of them
//
// It knows no grammar and no language: letters are bytes. It has no state and is
// safe for concurrent use.
package spelling

import (
	"iter"
	"slices"
	"strings"
)

// most is how many names are told, longest how long a name may be to be compared.
const (
	most    = 3
	longest = 100
)

// Near returns those of known that are the fewest letters away from name, whatever
// their case: at most three, sorted, and none where all are far.
func Near(name string, known iter.Seq[string]) []string {
	name = strings.ToLower(name)
	if len(name) > longest {
		return nil
	}
	var near []string
	closest := max(len(name)/3, min(2, len(name)/2))
	for k := range known {
		if len(k) > longest {
			continue
		}
		d := distance(name, strings.ToLower(k))
		if d < closest {
			near, closest = near[:0], d
		}
		if d == closest {
			near = append(near, k)
		}
	}
	slices.Sort(near)
	near = slices.Compact(near)
	return near[:min(len(near), most)]
}

// distance is how many letters must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
