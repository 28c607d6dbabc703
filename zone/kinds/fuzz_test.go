package kinds

import (
	"testing"

	"starling/lib/testkit"
	"starling/zone"
)

// The decoders get foreign bytes: they may refuse them, but never panic, and never take more memory than the budget.

// memoryPerByte bounds what a byte from a peer may make a zone allocate: the shortest record has 5 bytes, its entry in
// the zone and what holds it until it is taught some hundreds. memoryAtAll is what a zone of this size has itself.
const (
	memoryPerByte = 256
	memoryAtAll   = 1 << 20
)

func fuzzDecoders(f *testing.F, fill func(z zone.Shared), fresh func() zone.Shared) {
	source := fresh()
	fill(source)
	source.Flush(at(0))
	for sequence := source.Journal().Tail(); sequence < source.Journal().Head(); sequence++ {
		payload, _, _, _ := source.Journal().Frame(sequence)
		f.Add(payload)
	}
	for shard := range zone.Shards {
		if piece, _, _ := source.TeachShard(shard, 0, nil, 1<<20, at(0)); len(piece) > 0 {
			f.Add(piece)
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		z := fresh()
		z.Hold([zone.Shards / 64]uint64{1, 1, 1, 1})
		var applyErr, learnErr error
		bytes := testkit.Allocated(func() {
			_, applyErr = z.Apply(1, 1, payload, 5, at(0))
			_, learnErr = z.Learn(payload, at(0))
			z.Release(at(0))
		})
		if most := memoryAtAll + memoryPerByte*len(payload); bytes > most {
			t.Errorf("%d bytes were allocated for %d received, want at most %d", bytes, len(payload), most)
		}
		z.Flush(at(0))
		z.Tick(at(1000))
		stats := z.Stats()
		if stats.Bytes > z.Info().Bytes || stats.Bytes < 0 || stats.Records < 0 {
			t.Errorf("stats %+v after %v and %v", stats, applyErr, learnErr)
		}
		// What was taken can be taught on.
		other := fresh()
		for shard := range zone.Shards {
			for cursor, done := uint64(0), false; !done; {
				var piece []byte
				piece, cursor, done = z.TeachShard(shard, cursor, nil, 256, at(1000))
				if len(piece) == 0 {
					continue
				}
				if _, err := other.Learn(piece, at(1000)); err != nil {
					t.Fatalf("shard %d: %v", shard, err)
				}
			}
		}
	})
}

func FuzzBucket(f *testing.F) {
	fuzzDecoders(f, func(z zone.Shared) {
		for _, key := range []string{"a", "bb", "192.0.2.1"} {
			z.(*Bucket).Account([]byte(key), at(0), 5000)
		}
	}, func() zone.Shared { return newTestBucket(64<<10, 1000) })
}

func FuzzSession(f *testing.F) {
	fuzzDecoders(f, func(z zone.Shared) {
		for _, key := range []string{"a", "bb", "0123456789abcdef"} {
			z.(*Session).Bind([]byte(key), []byte("server"), at(0))
		}
		z.(*Session).Delete([]byte("a"), at(0))
	}, func() zone.Shared {
		return NewSession(SessionConfig{Name: "s", Bytes: 64 << 10, TimeoutMS: 1000, Sync: true})
	})
}

func FuzzKeyval(f *testing.F) {
	fuzzDecoders(f, func(z zone.Shared) {
		k := z.(*Keyval)
		for _, key := range []string{"192.0.2.0/24", "2001:db8::1", "10.0.0.1"} {
			k.Set([]byte(key), []byte("value"), NoExpire, at(0))
		}
		k.Delete([]byte("10.0.0.1"), at(0))
		k.Clear(at(0))
		k.Set([]byte("10.0.0.2"), []byte("value"), 5000, at(0))
	}, func() zone.Shared {
		return NewKeyval(KeyvalConfig{Name: "k", Bytes: 64 << 10, Type: TypeIP, Sync: true})
	})
}

func FuzzHealth(f *testing.F) {
	fuzzDecoders(f, func(z zone.Shared) {
		for _, key := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x"} {
			z.(*Health).Say([]byte(key), []byte("value"), at(0))
		}
		z.(*Health).Withdraw([]byte("192.0.2.1:80"), at(0))
	}, func() zone.Shared { return NewHealth(HealthConfig{Name: "h", Bytes: 64 << 10}) })
}

func FuzzRestore(f *testing.F) {
	f.Add(NodeRecord(7))
	f.Add(agreedRecord(7, zone.Agreement{Lineage: 8, ThroughMS: 9}))
	f.Fuzz(func(t *testing.T, record []byte) {
		var found Restored
		newTestKeyval(0).Restore(record, &found, at(0))
	})
}

func FuzzLoadState(f *testing.F) {
	f.Add([]byte(`{"a":"1","b":{"value":"2","expire":1000}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k := newTestKeyval(0)
		if k.LoadState(data, at(0)) == nil {
			if err := newTestKeyval(0).LoadState([]byte(stateOf(k, 0)), at(0)); err != nil {
				t.Error(err)
			}
		}
	})
}
