package strict

import "testing"

func TestDemand(t *testing.T) {
	d := demand{firstGapUS: 50_000}
	near := func(what string, nowUS, want int64) {
		t.Helper()
		if got := d.perSecond(nowUS) / Request; got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d per second, want %d", what, got, want)
		}
	}
	if !d.silent(0) || d.perSecond(0) != 0 {
		t.Error("no request is no demand")
	}
	now := int64(1_000_000)
	d.note(now)
	near("after one request", now, 20)
	for range 100 {
		now += 1000
		d.note(now)
	}
	near("a request per ms", now, 1000)
	if d.silent(now+6000) || !d.silent(now+6001) {
		t.Error("six gaps without a request are silence")
	}
	near("a while later", now+30_000, 100)
	now += 60_000_000
	for range 5 {
		d.note(now)
		now += 1000
	}
	near("it begins anew after a pause", now, 1000)
}
