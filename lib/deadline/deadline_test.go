package deadline

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestADeadlineIsMovedWhenItNoLongerDoes(t *testing.T) {
	for _, c := range []struct {
		name            string
		atMS            int64 // of the second Renew; the first is at 1000 for a minute
		timeout         time.Duration
		due             bool
		fromNow         time.Duration // where due
		forgottenBefore bool
	}{
		{"at once", 1000, time.Minute, false, 0, false},
		{"within the slack", 2000, time.Minute, false, 0, false},
		{"beyond the slack", 2001, time.Minute, true, 61 * time.Second, false},
		{"a shorter timeout", 1000, 30 * time.Second, true, 31 * time.Second, false},
		{"a longer timeout", 1000, time.Hour, true, time.Hour + time.Second, false},
		{"a short timeout has less slack", 1000, time.Second, true, 1250 * time.Millisecond, false},
		{"set by other means", 1000, time.Minute, true, 61 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d Deadline
				if at, due := d.Renew(1000, time.Minute); !due || time.Until(at) != 61*time.Second {
					t.Fatalf("the first: due %v, in %v; want true, in 61s", due, time.Until(at))
				}
				if c.forgottenBefore {
					d.Forget()
				}
				at, due := d.Renew(c.atMS, c.timeout)
				if due != c.due || due && time.Until(at) != c.fromNow {
					t.Errorf("due %v, in %v; want %v, in %v", due, time.Until(at), c.due, c.fromNow)
				}
			})
		})
	}
}

func TestTheCallerMayAllowMoreSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Deadline
		if at, due := d.RenewWithin(1000, time.Second, time.Second); !due || time.Until(at) != 2*time.Second {
			t.Errorf("due %v, in %v; want true, in 2s", due, time.Until(at))
		}
		if _, due := d.RenewWithin(2000, time.Second, time.Second); due {
			t.Error("due at the end of the slack")
		}
		if _, due := d.RenewWithin(2001, time.Second, time.Second); !due {
			t.Error("not due behind the slack")
		}
	})
}

func TestADeadlineOfAClockThatBeginsAtZeroIsSet(t *testing.T) {
	var d Deadline
	if _, due := d.Renew(0, 0); !due {
		t.Error("a deadline that was never set is due")
	}
}

func TestRenewAllocatesNothing(t *testing.T) {
	var d Deadline
	var nowMS int64
	if n := testing.AllocsPerRun(100, func() { nowMS += 5000; d.Renew(nowMS, time.Minute) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
