package kinds

import (
	"fmt"
	"sync"
	"testing"

	"starling/zone"
)

// Everything at once on zones that are too small, for the race detector and for the figures: in the end nothing may be
// counted that is not there.
func TestEverythingAtOnce(t *testing.T) {
	const rounds = 300
	session := func() *Session {
		return NewSession(SessionConfig{Name: "s", Bytes: 32 << 10, TimeoutMS: 300, Sync: true})
	}
	keyval := func() *Keyval {
		return NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, TimeoutMS: 300, Type: TypeIP, Sync: true})
	}
	s, k, b := session(), keyval(), newTestBucket(32<<10, 1000)
	c, cPeer := NewConn(ConnConfig{Name: "c", Bytes: 32 << 10}), NewConn(ConnConfig{Name: "c", Bytes: 32 << 10})
	connect := func(key []byte, ms int64) {
		if ticket, verdict := c.Enter(key, 1000); verdict == Passed {
			c.Fullest(3)
			c.Leave(ticket)
		}
		cPeer.Heard(map[zone.Origin]int64{1: at(ms).MonoMS}, false, 1<<40, at(ms))
	}
	h, hPeer := NewHealth(HealthConfig{Name: "h", Bytes: 32 << 10}), NewHealth(HealthConfig{Name: "h", Bytes: 32 << 10})
	for name, test := range map[string]struct {
		zone, peer zone.Shared
		use        func(key []byte, ms int64)
	}{
		"session": {s, session(), func(key []byte, ms int64) {
			s.Bind(key, []byte("server"), at(ms))
			s.Lookup(key, at(ms))
			if ms%7 == 0 {
				s.Delete(key, at(ms))
			}
		}},
		"keyval": {k, keyval(), func(key []byte, ms int64) {
			k.Set(key, key, NoExpire, at(ms))
			k.AppendValue(nil, key, at(ms))
			if ms%7 == 0 {
				k.Delete(key, at(ms))
			}
			if ms%100 == 0 {
				k.Clear(at(ms))
			}
		}},
		"bucket": {b, newTestBucket(32<<10, 1000), func(key []byte, ms int64) {
			b.Account(key, at(ms), 1000)
			b.Look(key, at(ms), 0)
		}},
		"conn":   {c, cPeer, connect},
		"health": {h, hPeer, func(key []byte, ms int64) { findAndForget(h, hPeer, key, ms) }},
	} {
		t.Run(name, func(t *testing.T) {
			test.peer.SetOrigin(2)
			test.peer.Hold([zone.Shards / 64]uint64{1<<64 - 1})
			var wg sync.WaitGroup
			for worker := range 3 {
				wg.Go(func() {
					for ms := range int64(rounds) {
						for i := range 8 {
							test.use(fmt.Appendf(nil, "10.%d.%d.%d", worker, ms%50, i), ms)
						}
					}
				})
			}
			wg.Go(func() { moveAll(t, test.zone, test.peer, rounds) })
			wg.Wait()
			endsEmpty(t, test.zone, rounds)
			endsEmpty(t, test.peer, rounds)
		})
	}
}

// findAndForget tells a finding, which a full zone rejects, and takes it back.
func findAndForget(h, peer *Health, key []byte, ms int64) {
	h.Say(key, key, at(ms))
	h.Told(nil, key)
	peer.Told(nil, key)
	h.Withdraw(key, at(ms))
}

// endsEmpty ends everything that is left in a zone.
func endsEmpty(t *testing.T, z zone.Shared, ms int64) {
	// Tombstones may take a megabyte beside.
	if used := z.Stats(); used.RecordBytes > z.Info().Bytes || used.Bytes > z.Info().Bytes+1<<20 {
		t.Errorf("%d bytes are used, %d of them by records", used.Bytes, used.RecordBytes)
	}
	z.Release(at(ms))
	if living, ok := z.(zone.Living); ok {
		living.Heard(nil, true, 0, at(ms)) // frames of the small ring were lost
	}
	z.Flush(at(ms))
	for ; ms < 3*TombstoneLifeMS; ms += 100_000 {
		z.Tick(at(ms))
	}
	if stats := z.Stats(); stats.Records != 0 || stats.Bytes != 0 || stats.Pending != 0 {
		t.Errorf("in the end %+v", stats)
	}
}

// moveAll flushes, expires, teaches and delivers while others use the zone.
func moveAll(t *testing.T, from, to zone.Shared, rounds int64) {
	sequence := uint64(0)
	for ms := range rounds {
		from.Flush(at(ms))
		from.Tick(at(ms))
		for shard := range 8 {
			piece, _, _ := from.TeachShard(shard, 0, nil, 1<<20, at(ms))
			if len(piece) == 0 {
				continue
			}
			if _, err := to.Learn(piece, at(ms)); err != nil {
				t.Error(err)
			}
		}
		for sequence = max(sequence, from.Journal().Tail()-1) + 1; sequence < from.Journal().Head(); sequence++ {
			if payload, _, _, ok := from.Journal().Frame(sequence); ok {
				if _, err := to.Apply(1, sequence, payload, 0, at(ms)); err != nil {
					t.Error(err)
				}
			}
		}
		sequence--
	}
}
