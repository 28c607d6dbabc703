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
		if first.MonoMS != first.WallMS {
			t.Errorf("they do not begin together: %+v", first)
		}
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
		ahead := c.Now().WallMS - c.Now().MonoMS - 5
		c.Follow(ahead)
		time.Sleep(time.Second)
		if got, want := c.Now().WallMS, time.Now().UnixMilli()-5; got != want {
			t.Errorf("while it follows: %d, want %d", got, want)
		}
		if got := c.Local().Now(); got.WallMS != time.Now().UnixMilli() || got.MonoMS != c.Now().MonoMS {
			t.Errorf("the local clock follows, too: %+v", got)
		}
		c.Unfollow()
		if got := c.Now().WallMS; got != time.Now().UnixMilli() {
			t.Errorf("afterwards: %d, want %d", got, time.Now().UnixMilli())
		}
	})
}

func BenchmarkNow(b *testing.B) {
	c := Real()
	for b.Loop() {
		c.Now()
	}
}
