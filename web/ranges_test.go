package web

import (
	"math"
	"testing"
)

func FuzzParseRange(f *testing.F) {
	for _, value := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes= 1 - 2 ", "bytes=1-2,3-4", "bytes=999999999999999999-", "x",
		"bytes=9223372036854775807-", "bytes=-9223372036854775808", "bytes=0-0,-1,2-,99-"} {
		f.Add([]byte(value), int64(10), 3)
		f.Add([]byte(value), int64(math.MaxInt64), math.MaxInt32)
	}
	f.Fuzz(func(t *testing.T, value []byte, size int64, most int) {
		if size < 0 || most < 1 {
			return
		}
		one, all, status := parseRanges(value, size, most)
		switch {
		case status == 416, status == 200:
			return
		case status != 206, len(all) == 1, len(all) > most, len(all) > 1 && all[0] != one:
			t.Errorf("%q of %d bytes: status %d, %v, %v", value, size, status, one, all)
		}
		total := int64(0)
		for _, s := range append(all[min(1, len(all)):], one) {
			if s.first < 0 || s.first >= s.end || s.end > size || s.end-s.first > size-total {
				t.Errorf("%q of %d bytes: %v of %v", value, size, s, all)
			}
			total += s.end - s.first
		}
	})
}
