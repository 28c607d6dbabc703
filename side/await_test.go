package side_test

import (
	"testing"

	"starling/lib/clock"
	"starling/side"
)

// wait is one that peers have ended, or not.
type wait struct {
	done chan struct{}
	late bool
}

func (w *wait) Done() <-chan struct{}          { return w.done }
func (w *wait) End(late bool, _ clock.Reading) { w.late = late }

// What peers have ended is in time, also if the time has run out when that is seen.
func TestAwaitPrefersTheEndToTheTime(t *testing.T) {
	ended, open := make(chan struct{}), make(chan struct{})
	close(ended)
	for range 100 {
		if w := (&wait{done: ended}); !side.Await(w, 0, clock.Real()) || w.late {
			t.Fatal("a wait that peers have ended is late")
		}
	}
	if w := (&wait{done: open}); side.Await(w, 0, clock.Real()) || !w.late {
		t.Error("a wait that nobody has ended is in time")
	}
}
