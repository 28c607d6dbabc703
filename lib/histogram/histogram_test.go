package histogram

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"starling/lib/stripes"
)

func ms(list ...int) (b Bounds) {
	for _, n := range list {
		b = append(b, time.Duration(n)*time.Millisecond)
	}
	return b
}

// A time belongs to the first bucket whose bound it does not exceed.
func TestBuckets(t *testing.T) {
	b := ms(5, 10, 2500)
	h := New(b)
	var one, two stripes.Pick
	for _, took := range []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, 10 * time.Millisecond} {
		h.Count(&one, took)
	}
	for _, took := range []time.Duration{-time.Second, time.Second, time.Minute, time.Hour} {
		h.Count(&two, took)
	}
	text, err := json.Marshal(h.Figures())
	if want := `{"count":8,"sum":3661021,"buckets":{"5":3,"10":2,"2500":1,"inf":2}}`; err != nil || string(text) != want {
		t.Errorf("got  %s\nwant %s %v", text, want, err)
	}
	h.Reset()
	if f := h.Figures(); f.Count != 0 || f.SumMS != 0 {
		t.Errorf("after a reset: %+v", f)
	}
}

func TestBoundsOfAUser(t *testing.T) {
	many := make(Bounds, MaxBounds+1)
	for i := range many {
		many[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, c := range []struct {
		bounds Bounds
		want   string
	}{
		{DefaultBounds, ""},
		{many[:MaxBounds], ""},
		{ms(1, 86400000), ""},
		{nil, "0 bounds, expected 1 to 32"},
		{many, "33 bounds, expected 1 to 32"},
		{ms(0), "bound 0s is not a number of milliseconds between 1ms and 24h0m0s"},
		{Bounds{1500 * time.Microsecond}, "bound 1.5ms is not a number of milliseconds between 1ms and 24h0m0s"},
		{ms(86400001), "bound 24h0m0.001s is not a number of milliseconds between 1ms and 24h0m0s"},
		{ms(5, 5), "bounds are not in ascending order"},
		{ms(5, 4), "bounds are not in ascending order"},
	} {
		got := ""
		if err := c.bounds.Check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.bounds, got, c.want)
		}
	}
}

func TestCountingAtTheSameTimeLosesNothing(t *testing.T) {
	h := New(DefaultBounds)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var pick stripes.Pick
			for i := range 1000 {
				h.Count(&pick, time.Duration(i)*time.Millisecond)
			}
		})
	}
	all.Wait()
	if f := h.Figures(); f.Count != 8000 || f.SumMS != 8*999*500 {
		t.Errorf("%+v", f)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	h := New(DefaultBounds)
	var pick stripes.Pick
	h.Count(&pick, 0)
	if n := testing.AllocsPerRun(100, func() { h.Count(&pick, time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
