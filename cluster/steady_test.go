package cluster

import (
	"testing"

	"starling/lib/clock"
)

// What a peer's clock shows is known by the quickest heartbeat of the last minute: one that was read late, by a host
// that stood still, tells nothing new.
func TestThePeersSteadyClockIsKnown(t *testing.T) {
	const apartMS = 5_000_000 // of the two monotonic clocks
	at := func(ms int64) clock.Reading { return clock.Reading{MonoMS: apartMS + ms} }
	var c steady
	if c.senderMS(at(0)) != 0 || c.knows(at(0)) {
		t.Error("a clock that nobody has heard of is known")
	}
	beats := []struct {
		sentMS, readMS, rttMS, wantMS int64
		unknown                       bool
	}{
		{1000, 5000, 4000, 3000, true}, // half of it either way
		{6000, 6010, 20, 6010, false},
		{8000, 12_000, 4000, 12_000, false},
		{13_000, 13_001, 2, 13_001, false},
		{40_000, 44_000, 4000, 44_000, false},   // of another window; the one before still counts
		{100_000, 100_100, 100, 100_050, false}, // the clocks do not run alike, or the network is slower now
		{800_000, 804_000, 4000, 802_000, true}, // nothing was heard for long
	}
	for _, beat := range beats {
		c.heard(uint64(beat.sentMS), beat.rttMS, at(beat.readMS))
		if got := c.senderMS(at(beat.readMS)); got != beat.wantMS || c.knows(at(beat.readMS)) == beat.unknown {
			t.Errorf("a heartbeat of %d, read at %d: the clock shows %d, want %d", beat.sentMS, beat.readMS, got, beat.wantMS)
		}
	}
	if c.knows(at(804_000 + steadyForMS)) {
		t.Error("it is known for ever")
	}
	c.heard(1<<63, 0, at(900_000)) // nonsense does not overflow
	if c.senderMS(at(900_000)) < 0 {
		t.Error("the clock is negative")
	}
}

// A record that stood in a new connection, behind the first heartbeat, ends when it should: the peer's clock is known
// from the connection before, or, where nothing is known, the connection is made again.
func TestRecordsThatComeLateEndInTime(t *testing.T) {
	for name, known := range map[string]bool{"met before": true, "not met before": false} {
		f := newFabric(t, 2)
		if known {
			f.settle(1000, "ready", f.ready)
			f.step(2000)
			f.block(0, 1)
			f.part(0)
		}
		f.settle(1000, "established", func() bool { return f.connected(0, 1) })
		f.stall(true)
		if err := f.hosts[0].keyval.Set([]byte("k"), []byte("v"), 6000, f.hosts[0].reading()); err != nil {
			t.Fatal(err)
		}
		f.step(4500)
		f.stall(false)
		f.settle(1000, "arrived", func() bool { return f.hosts[1].get("k") == "v" })
		f.step(500)
		if f.hosts[1].get("k") != "v" {
			t.Errorf("%s: it ended too early", name)
		}
		if f.step(2000); f.hosts[1].get("k") != "" {
			t.Errorf("%s: it ends too late", name)
		}
	}
}
