package plural

import (
	"math"
	"testing"
)

func TestOf(t *testing.T) {
	for want, got := range map[string]string{
		"0 pairs": Of(0, "pair", "pairs"), "1 pair": Of(int64(1), "pair", "pairs"), "2 entries": Of(uint64(2), "entry", "entries"),
		"-1 pairs": Of(-1, "pair", "pairs"), "18446744073709551615 pairs": Of(uint64(math.MaxUint64), "pair", "pairs"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
