// Package plural writes numbers of things for people: "1 record", "2 records".
package plural

import "strconv"

// Of is a number with the word for one thing or for many.
func Of[N int | int32 | int64 | uint32 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	if n < 0 {
		return strconv.FormatInt(int64(n), 10) + " " + many
	}
	return strconv.FormatUint(uint64(n), 10) + " " + many
}
