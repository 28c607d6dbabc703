package logs_test

import (
	"testing"
	"time"

	"starling/logs"
)

func TestISO8601Millis(t *testing.T) {
	var cache logs.TimeCache
	for ms, want := range map[int64]string{
		1_795_000_000_000: "2026-11-18T11:06:40.000+00:00", 1_795_000_000_007: "2026-11-18T11:06:40.007+00:00",
		1_795_000_000_999: "2026-11-18T11:06:40.999+00:00", -1: "1969-12-31T23:59:59.000+00:00",
	} {
		if got := string(cache.At(time.UnixMilli(ms).UTC()).AppendISO8601Millis(nil, ms)); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}
