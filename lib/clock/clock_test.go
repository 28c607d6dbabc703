package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBothClocksRunOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Real()
		first := c.Now()
		if first.WallMS != time.Now().UnixMilli() {
			t.Errorf("wall %d, want %d", first.WallMS, time.Now().UnixMilli())
		}
		for _, step := range []time.Duration{0, time.Millisecond, 7 * time.Millisecond, wallEvery, time.Hour} {
			before := c.Now()
			time.Sleep(step) // virtual
			now := c.Now()
			if now.WallMS != time.Now().UnixMilli() || now.MonoMS-before.MonoMS != step.Milliseconds() {
				t.Errorf("after %v: %+v, was %+v, wall is %d", step, now, before, time.Now().UnixMilli())
			}
		}
		c.SetOffset(-5)
		if got, want := c.Now().WallMS, time.Now().UnixMilli()-5; got != want {
			t.Errorf("with an offset: %d, want %d", got, want)
		}
		if got := c.Local().Now().WallMS; got != time.Now().UnixMilli() {
			t.Errorf("the local clock has an offset: %d", got)
		}
	})
}

func BenchmarkNow(b *testing.B) {
	c := Real()
	for b.Loop() {
		c.Now()
	}
}
