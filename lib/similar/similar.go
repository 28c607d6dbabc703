// Package similar finds the known word that a mistyped word probably stands for.
package similar

import "strings"

// maxDistance is how many typing errors are tolerated in a word; a short word would match any other.
const maxDistance = 2

// Of returns the known word nearest to a mistyped one, or "" if none is near. Of several it returns the first.
func Of(word string, known []string) string {
	best, nearest := "", min(maxDistance, len(word)/2)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k), nearest); d < nearest {
			best, nearest = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their neighbour (optimal string alignment), up to
// most.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, now := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
