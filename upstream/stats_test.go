package upstream

import (
	"sync/atomic"
	"testing"
	"time"

	"starling/lib/statuscount"
	"starling/lib/stripes"
)

// TestTimesOfAttempts: the averages have those of attempts that were measured, from their end on.
func TestTimesOfAttempts(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80")
	times := func() [3]int64 {
		p := g.Report(start).Peers[0]
		return [3]int64{p.connectMS, p.Header, p.Response}
	}
	var a Attempt
	try := func() {
		t.Helper()
		g.Begin(&a)
		if _, err := a.Pick(start); err != nil {
			t.Fatal(err)
		}
	}
	try()
	a.Measure(Times{-1, 20 * time.Millisecond, 40 * time.Millisecond})
	if got := times(); got != [3]int64{} {
		t.Errorf("before the end: %v", got)
	}
	a.Free(Success, start)
	if got, want := times(), [3]int64{0, 20, 40}; got != want {
		t.Errorf("measured %v, want %v", got, want)
	}
	try()
	a.Connected(start, 60*time.Millisecond)
	a.Free(Failure, start)
	if got, want := times(), [3]int64{60, 20, 40}; got != want {
		t.Errorf("after an attempt that was not measured to its end: %v, want %v", got, want)
	}
}

// TestCoresCountApart: writers with different picks do not write to the same counters.
func TestCoresCountApart(t *testing.T) {
	s := groupOf(t, "10.0.0.1:80").primary.servers[0]
	for range 100 {
		var by stripes.Pick
		s.Stats.Moved(&by, 1, 2)
		s.Stats.CountResponse(&by, 200)
	}
	copies := 0
	for c := range s.Stats.traffic.All() {
		copies++
		if n := c.sent.Load(); n == 100 || n != c.responses.Code(200) {
			t.Errorf("a copy has %d of 100", n)
		}
	}
	if _, sent, received := s.Stats.sums(); copies < 2 || sent != 100 || received != 200 {
		t.Errorf("%d copies, %d and %d bytes", copies, sent, received)
	}
}

// BenchmarkServerCounters counts the responses of one server from all cores, as requests do: in copies, and for
// comparison in counters that all of them share. Run it with -cpu 1,2.
func BenchmarkServerCounters(b *testing.B) {
	b.Run("copies", func(b *testing.B) {
		s := Stats{traffic: stripes.New[traffic]()}
		b.RunParallel(func(next *testing.PB) {
			var by stripes.Pick
			for next.Next() {
				s.Moved(&by, 500, 1000)
				s.CountResponse(&by, 200)
			}
		})
	})
	b.Run("shared", func(b *testing.B) {
		var sent, received atomic.Uint64
		var responses statuscount.Counter
		b.RunParallel(func(next *testing.PB) {
			for next.Next() {
				sent.Add(500)
				received.Add(1000)
				responses.Count(200)
			}
		})
	})
}

// BenchmarkAttempt selects one server, counts and frees it, from all cores: the part of a request under the group's
// lock, with its counters.
func BenchmarkAttempt(b *testing.B) {
	g := groupOf(b, "10.0.0.1:80", "10.0.0.2:80")
	b.RunParallel(func(next *testing.PB) {
		var by stripes.Pick
		var a Attempt
		for next.Next() {
			g.Begin(&a)
			s, err := a.Pick(start)
			if err != nil {
				b.Error(err)
				return
			}
			s.Stats.Moved(&by, 500, 1000)
			s.Stats.CountResponse(&by, 200)
			a.Measure(Times{-1, time.Millisecond, 2 * time.Millisecond})
			a.Free(Success, start)
		}
	})
}
