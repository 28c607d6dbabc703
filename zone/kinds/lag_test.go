package kinds

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"starling/zone"
)

// Which tombstones a connected member may need: of what it may hold, and only if it may not have got the deletion.
func TestTombstonesOnTheirWayAreNeeded(t *testing.T) {
	const ms = 100_000
	lag := zone.Lag{
		ThroughMS: at(ms - 9000).WallMS, SureMS: at(ms - 1000).WallMS, KnownMS: at(ms).WallMS, HadMS: at(ms).WallMS,
		HeldMS: at(ms + 100).WallMS, MaybeMS: at(ms + 300).WallMS,
	}
	for _, of := range []struct {
		what                string
		writtenMS, deleteMS int64
		needed              int
	}{
		{"what both held when they agreed", -9500, 50, 0},
		{"a deletion that it has", -5000, -2000, 0},
		{"a deletion that a crash would lose", -5000, -500, 1},
		{"what it holds", -5000, 50, zone.MostNeeded},
		{"what is on its way to it", 50, 60, 2},
		{"what it may have got from others", 200, 210, 1},
		{"what nobody sent it", 400, 410, 0},
	} {
		k := smallKeyval(0)
		k.Protect([]zone.Lag{lag})
		k.Set([]byte("a"), []byte("v"), NoExpire, at(ms+of.writtenMS))
		k.Delete([]byte("a"), at(ms+of.deleteMS))
		sh := k.store.Shard(zone.KeyHash([]byte("a")))
		sh.Lock()
		if _, r := sh.Find([]byte("a")); r == nil || k.Needed(r) != of.needed {
			t.Errorf("%s: needed %d, want %d", of.what, k.Needed(r), of.needed)
		}
		sh.Unlock()
	}
}

// What may be in flight to a member is bounded as soon as tombstones may have to be given up.
func TestLittleIsInFlightWhenTombstonesAreMany(t *testing.T) {
	k := smallKeyval(0)
	for i := range 20_000 {
		key := fmt.Appendf(nil, "key%d", i)
		k.Set(key, []byte("v"), NoExpire, at(int64(i)))
		k.Delete(key, at(int64(i)))
		stats, most := k.Stats(), k.MaxUnacked()
		switch few := stats.TombstoneBytes < 1<<20/unackedShare; {
		case few != (most == math.MaxInt64):
			t.Fatalf("%d records may be in flight with %+v", most, stats)
		case !few && (most < 500 || most > stats.Tombstones):
			t.Fatalf("%d records may be in flight with %+v", most, stats)
		}
	}
	if k.MaxUnacked() > 2500 {
		t.Errorf("%d records may be in flight", k.MaxUnacked())
	}
}

// All members know a restamped deletion, and the log of one of them has it. A pair that is written later outlives it,
// although the clock with which it is stamped is ahead again, and not yet as far as the first stamp of the deletion.
func TestAForgottenDeletionDoesNotWinWithItsFirstStamp(t *testing.T) {
	const aheadMS = 100_000_000
	wrong, log, node := newTestKeyval(0), newTestKeyval(0), newTestKeyval(0)
	teach := func(from, to *Keyval, ms int64) {
		for shard := range zone.Shards {
			piece, _, _ := from.TeachShard(shard, 0, nil, 1<<20, at(ms))
			if len(piece) == 0 {
				continue
			}
			if _, err := to.Mend(piece, zone.Trust{}, at(ms)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wrong.Set([]byte("a"), []byte("old"), NoExpire, ahead(aheadMS, 0))
	wrong.Delete([]byte("a"), ahead(aheadMS, 10))
	if wrong.TimeWentBack(ahead(aheadMS, -1000).WallMS, aheadMS, at(20)) == 0 {
		t.Fatal("nothing was restamped")
	}
	teach(wrong, log, 30)
	teach(wrong, node, 30)
	node.ForgetThrough(at(200_000).WallMS, at(200_000).MonoMS)
	again := ahead(aheadMS-200_500, 200_000)
	node.Set([]byte("a"), []byte("new"), NoExpire, again)
	teach(log, node, 200_100)
	if value, found := node.Get([]byte("a"), again); !found || string(value) != "new" {
		t.Errorf("the pair is %q, %v", value, found)
	}
}

// A zone of 4m is full, and all of it is deleted while a member is away: this fills the room of tombstones. However many
// pairs come and go then, the member needs all those tombstones, and none of the later ones.
func TestTheTombstonesOfAFullZoneOutliveYoungerOnes(t *testing.T) {
	const goneMS = 100_000
	k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 4 << 20, Sync: true})
	n := fillUp(t, k, "needed", goneMS-1000)
	had := at(goneMS).WallMS
	k.Protect([]zone.Lag{{KnownMS: had, HadMS: had, HeldMS: had, MaybeMS: had}})
	var needed []zone.Element
	for i := range n {
		key := fmt.Appendf(nil, "needed%d", i)
		needed = append(needed, zone.Element{Key: zone.KeyHash(key), Version: 1})
		k.Delete(key, at(goneMS+1000))
	}
	slices.SortFunc(needed, zone.Element.Compare)
	k.Flush(at(goneMS + 1000))
	before := len(k.Tombstones(needed))
	for i := range 100_000 {
		key := fmt.Appendf(nil, "later%d", i)
		k.Set(key, []byte("v"), NoExpire, at(goneMS+2000))
		k.Delete(key, at(goneMS+2000))
		if i%10 == 0 {
			k.Flush(at(goneMS + 2000))
		}
		if i%500 == 0 {
			k.Protect([]zone.Lag{{KnownMS: had, HadMS: had, HeldMS: had, MaybeMS: had}})
		}
	}
	if have := len(k.Tombstones(needed)); have != before {
		t.Errorf("%d of %d needed tombstones are left", have, before)
	}
}
