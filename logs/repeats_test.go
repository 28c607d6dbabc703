package logs

import "testing"

func TestRepeatsWritesALineAMinuteAndCountsTheOthers(t *testing.T) {
	var r Repeats
	for _, c := range []struct {
		atMS  int64
		note  string
		write bool
	}{
		{1000, "", true}, {1001, "", false}, {60_999, "", false},
		{61_000, " (2 more since the last such line)", true}, {61_001, "", false},
		{200_000, " (1 more since the last such line)", true}, {300_000, "", true},
	} {
		if note, write := r.Next(c.atMS); note != c.note || write != c.write {
			t.Errorf("at %d ms: %q, %v", c.atMS, note, write)
		}
	}
}
