package cluster

import (
	"testing"

	"starling/lib/clock"
)

// What a peer's clock shows is known to the quickest heartbeat of the last minute: one that was read late, by a host that stood still, tells nothing new.
func TestThePeersSteadyClockIsKnown(t *testing.T) {
	const apartMS = 5_000_000 // of the two monotonic clocks
	at := func(ms int64) clock.Reading { return clock.Reading{MonoMS: apartMS + ms} }
	var c steady
	if c.senderMS(at(0)) != 0 {
		t.Error("a clock that nobody has heard of is known")
	}
	beats := []struct{ sentMS, readMS, wantMS int64 }{
		{1000, 5000, 1000}, // read late
		{6000, 6010, 6000},
		{8000, 12_000, 11_990},
		{13_000, 13_002, 13_000},
		{40_000, 44_000, 43_998},
		{100_000, 100_100, 100_000}, // the clocks do not run alike, or the network is slower now
	}
	for _, beat := range beats {
		c.heard(uint64(beat.sentMS), at(beat.readMS))
		if got := c.senderMS(at(beat.readMS)); got != beat.wantMS {
			t.Errorf("a heartbeat of %d, read at %d: the clock shows %d, want %d", beat.sentMS, beat.readMS, got, beat.wantMS)
		}
	}
	c.heard(1<<63, at(150_000)) // nonsense does not overflow
	if c.senderMS(at(150_000)) < 0 {
		t.Error("the clock is negative")
	}
}
