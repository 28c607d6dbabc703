package sim

import (
	"strings"
	"testing"
	"time"
)

// A pair that another host has read from its disk may live longer on a host than its writer meant, if it had expired
// there before it came back, also if only for a moment. If it was there all the time, it may not.
func TestAPairThatExpiredCanComeBackFromADisk(t *testing.T) {
	const lifeMS = timedEveryMS*20 + 10 // so that the pair is gone between two checks only
	for _, test := range []struct {
		name      string
		atMS      int64 // when it gets the late expiry time
		fromADisk bool
		want      string
	}{
		{"after it expired", 1030, true, ""},
		{"before it expired", 990, true, "host 0 still has a of 0 ms, which was to end at 1010 ms"},
		{"from no disk", 1030, false, "host 0 still has a of 0 ms, which was to end at 1010 ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := NewWorld(1, defaults)
			w.Start(2)
			one, two := w.Hosts[0], w.Hosts[1]
			if err := one.setTimed(timed{key: "a", value: "x"}, lifeMS); err != nil {
				t.Fatal(err)
			}
			if test.fromADisk {
				two.setClock(-3_600_000)
				w.restoreTimed(two)
			}
			w.Run(time.Duration(test.atMS) * time.Millisecond)
			if has := one.get("a") == "x"; has != (test.atMS < lifeMS) {
				t.Fatalf("at %d ms, host 0 has %q", w.nowMS, one.get("a"))
			}
			if err := one.keyval.Set([]byte("a"), []byte("x"), 60_000, one.clusterNow()); err != nil {
				t.Fatal(err)
			}
			w.Run(4 * time.Second)
			if got := strings.Join(w.failures, "\n"); test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("the failures are %q, want %q", got, test.want)
			}
		})
	}
}
