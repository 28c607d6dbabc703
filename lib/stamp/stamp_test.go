package stamp

import (
	"sync"
	"testing"
)

func TestNextIsAboveAllThatWasSeen(t *testing.T) {
	tests := []struct {
		name   string
		seen   Stamp
		nowMS  int64
		above  Stamp
		wantMS int64
		count  uint16
	}{
		{"the wall clock", 0, 1000, 0, 1000, 0},
		{"a clock that stands still", At(1000, 7), 1000, 0, 1000, 8},
		{"a clock behind a peer's", At(5000, 0), 1000, 0, 5000, 1},
		{"a record from the future", 0, 1000, At(9000, 3), 9000, 4},
		{"a full counter", At(1000, 1<<16-1), 1000, 0, 1001, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c Clock
			c.Observe(test.seen)
			if got, want := c.Next(test.nowMS, test.above), At(test.wantMS, test.count); got != want {
				t.Errorf("%d.%d, want %d.%d", got.MS(), got.Counter(), want.MS(), want.Counter())
			}
		})
	}
}

func TestStampsOfManyGoroutinesDiffer(t *testing.T) {
	const goroutines, each = 8, 1000
	var c Clock
	var wg sync.WaitGroup
	got := make([][]Stamp, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			for range each {
				got[g] = append(got[g], c.Next(1000, 0))
			}
		})
	}
	wg.Wait()
	seen := map[Stamp]bool{}
	for _, stamps := range got {
		for i, s := range stamps {
			if seen[s] || (i > 0 && s <= stamps[i-1]) {
				t.Fatalf("stamp %d twice or back", s)
			}
			seen[s] = true
		}
	}
}

func TestTooFarAhead(t *testing.T) {
	const nowMS = 1_800_000_000_000
	for ahead, want := range map[int64]bool{-1: false, 0: false, MaxAheadMS: false, MaxAheadMS + 1: true} {
		if got := At(nowMS+ahead, 9).TooFarAhead(nowMS); got != want {
			t.Errorf("%d ms ahead: %v", ahead, got)
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	var c Clock
	if n := testing.AllocsPerRun(100, func() { c.Observe(c.Next(1, 2)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRetreatOnlyFromTooFarAhead(t *testing.T) {
	const nowMS = 1_800_000_000_000
	var c Clock
	c.Observe(At(nowMS+MaxAheadMS, 3))
	if c.Retreat(nowMS); c.Next(nowMS, 0) != At(nowMS+MaxAheadMS, 4) {
		t.Error("a clock within bounds was taken back")
	}
	c.Observe(At(nowMS+2*MaxAheadMS, 0))
	if c.Retreat(nowMS); c.Next(nowMS, 0) != At(nowMS, 1) {
		t.Error("a clock beyond bounds was left there")
	}
}
