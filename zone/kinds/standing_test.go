package kinds

import (
	"fmt"
	"slices"
	"testing"
)

// A frame of a peer is taken in part only. What it changed here is in the log all the same, or a write that took the
// room which it made would not fit at the next start; what was refused is not.
func TestTheLogHasWhatAPartlyRefusedFrameChanged(t *testing.T) {
	const hourMS = 3_600_000
	for name, c := range map[string]struct {
		frame   func(peer *Keyval)
		refused string
	}{
		"no room": {func(peer *Keyval) {
			peer.Set([]byte("big"), []byte("small now"), NoExpire, at(10))
			peer.Set([]byte("too much"), make([]byte, 30<<10), NoExpire, at(10))
		}, "too much"},
		"a stamp ahead": {func(peer *Keyval) {
			peer.Set([]byte("big"), []byte("small now"), NoExpire, at(10))
			peer.Set([]byte("ahead"), []byte("x"), NoExpire, at(hourMS))
		}, "ahead"},
		"a deletion": {func(peer *Keyval) {
			peer.Set([]byte("big"), []byte("x"), NoExpire, at(10))
			peer.Delete([]byte("big"), at(11))
			peer.Set([]byte("too much"), make([]byte, 30<<10), NoExpire, at(12))
		}, "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			small := func() *Keyval { return NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, Sync: true}) }
			one, peer := small(), NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
			var log [][]byte
			keep := func(record []byte) { log = append(log, slices.Clone(record)) }
			one.OnCommit(onDisk(keep), keep)
			if err := one.Set([]byte("big"), make([]byte, 20<<10), NoExpire, at(0)); err != nil {
				t.Fatal(err)
			}
			c.frame(peer)
			peer.Resize(10, 64<<10)
			peer.Flush(at(20))
			for sequence := peer.Journal().Tail(); sequence < peer.Journal().Head(); sequence++ {
				payload, _, _, _ := peer.Journal().Frame(sequence)
				if _, err := one.Apply(2, sequence, payload, 0, at(20)); err != nil {
					t.Fatal(err)
				}
			}
			mustLack(t, one, c.refused, 20)
			if err := one.Set([]byte("later"), make([]byte, 20<<10), NoExpire, at(30)); err != nil {
				t.Fatal("the frame made no room: ", err)
			}
			back := small()
			for i, record := range log {
				if err := back.Restore(record, new(Restored), at(40)); err != nil {
					t.Fatal(fmt.Errorf("record %d of %d: %w", i, len(log), err))
				}
			}
			mustLack(t, back, c.refused, 40)
			mustAgree(t, one, back)
		})
	}
}
