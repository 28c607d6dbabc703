package cluster

import (
	"testing"

	"starling/lib/clock"
)

// What a peer's wall clock shows is known by the quickest heartbeat of late: one that a busy machine has held up tells
// nothing new, and if there is no other, clocks that can be equal count as equal. A clock that was set counts at once.
func TestThePeersWallClockIsKnown(t *testing.T) {
	const wallMS = 1_000_000_000
	at := func(ms int64) clock.Reading { return clock.Reading{WallMS: wallMS + ms, MonoMS: 5_000 + ms} }
	for name, beats := range map[string][]struct{ readMS, shownMS, rttMS, wantMS int64 }{
		"the first one is held up": {
			{2_000, 2_000, 1_476, 0}, // all of it on the way to the peer
			{3_000, 3_000, 2, 1},
			{4_000, 2_600, 1_400, 1}, // on the way back
			{5_000, 4_999, 2, 0},
		},
		"another clock, far away": {
			{1_000, 4_900, 200, 4_000},
			{2_000, 5_900, 3_000, 4_000},
		},
		"another clock, after a poor round trip": {
			{1_000, 9_000, 2_000, 8_000}, // this much at least
			{2_000, 10_000, 0, 8_000},
		},
		"it is set": {
			{1_000, 1_000, 2, 1},
			{2_000, 62_000, 40, 60_020},
			{3_000, 3_000, 90, 45},
		},
		"the greeting comes first, and again": {
			{1_000, 300, unknownRTT, -700},
			{1_100, 1_099, 2, 0},
			{1_200, 300, unknownRTT, 0},
		},
	} {
		var s Session
		for i, beat := range beats {
			now := at(beat.readMS)
			if got := s.sawWall(uint64(wallMS+beat.shownMS), beat.rttMS, now).aheadOf(now); got != beat.wantMS {
				t.Errorf("%s, heartbeat %d: %d ms ahead, want %d", name, i, got, beat.wantMS)
			}
		}
	}
}
