package web

import "testing"

func FuzzParseRange(f *testing.F) {
	for _, value := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes= 1 - 2 ", "bytes=1-2,3-4", "bytes=999999999999999999-", "x"} {
		f.Add([]byte(value), int64(10))
	}
	f.Fuzz(func(t *testing.T, value []byte, size int64) {
		if size < 0 {
			return
		}
		first, length, status := parseRange(value, size)
		switch {
		case status == 416:
		case status == 200 && first == 0 && length == size:
		case status == 206 && first >= 0 && length > 0 && first <= size-length:
		default:
			t.Errorf("%q of %d bytes: %d bytes from %d, status %d", value, size, length, first, status)
		}
	})
}
