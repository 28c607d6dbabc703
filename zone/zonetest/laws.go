// Package zonetest has the laws that every kind of zone must obey, so that a new kind gets its tests in one line.
package zonetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"starling/lib/clock"
	"starling/zone"
)

// Subject is a kind under test.
type Subject struct {
	Name string
	// New makes an empty, synced zone of a node.
	New func() zone.Shared
	// Write changes a key; drawn randomness decides how. Delete removes it, nil if the kind cannot.
	Write  func(z zone.Shared, key string, draw int, now clock.Reading)
	Delete func(z zone.Shared, key string, now clock.Reading)
	// Read returns what readers find under a key, "" for nothing.
	Read func(z zone.Shared, key string, now clock.Reading) string
	// Forget makes a zone drop tombstones, as when all members know them; nil if there are none.
	Forget func(z zone.Shared, now clock.Reading)
	// Counts means that frames of one origin arrive in order and once, as journals deliver them; otherwise they can
	// arrive in any order.
	Counts bool
}

// startMS and the step keep a run far from the expiry of its records.
const (
	startMS = 1_800_000_000_000
	nodes   = 3
	keys    = 6
)

func reading(ms int64) clock.Reading { return clock.Reading{WallMS: startMS + ms, MonoMS: 1<<32 + ms} }

// frame is one frame of one node's journal.
type frame struct {
	from     zone.Origin
	sequence uint64
	payload  []byte
}

// history is the writes of nodes that do not see each other's.
type history struct {
	zones  [nodes]zone.Shared
	frames []frame // in the order of their nodes and sequences
	endMS  int64
}

func key(i int) string { return fmt.Sprintf("key-%d", i) }

// write draws the history of three nodes that do not hear each other.
func write(t *rapid.T, s Subject) history {
	h := history{}
	for node := range nodes {
		z := s.New()
		z.SetOrigin(zone.Origin(node + 1))
		z.Resize(256, 256)
		ms := int64(0)
		for range rapid.IntRange(0, 12).Draw(t, "operations") {
			ms += int64(rapid.IntRange(0, 2).Draw(t, "pause"))
			name := key(rapid.IntRange(0, keys-1).Draw(t, "key"))
			switch draw := rapid.IntRange(0, 99).Draw(t, "operation"); {
			case draw < 20:
				z.Flush(reading(ms))
			case draw < 40 && s.Delete != nil:
				s.Delete(z, name, reading(ms))
			default:
				s.Write(z, name, draw, reading(ms))
			}
		}
		z.Flush(reading(ms))
		h.zones[node], h.endMS = z, max(h.endMS, ms)
		h.frames = append(h.frames, framesOf(z, zone.Origin(node+1), 0)...)
	}
	h.endMS++
	return h
}

func framesOf(z zone.Shared, from zone.Origin, after uint64) (frames []frame) {
	for sequence := after + 1; sequence < z.Journal().Head(); sequence++ {
		payload, _, _, ok := z.Journal().Frame(sequence)
		if !ok {
			panic("the journal of a test is too short")
		}
		frames = append(frames, frame{from, sequence, payload})
	}
	return frames
}

// mixed returns the frames in another order, some of them twice. Kinds that count get each origin's in order.
func mixed(s Subject, frames []frame, seed int64) []frame {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var out []frame
	rest := append([]frame(nil), frames...)
	for len(rest) > 0 {
		i := r.IntN(len(rest))
		if s.Counts {
			for j := range rest {
				if rest[j].from == rest[i].from {
					i = j // the first that is left of this origin
					break
				}
			}
		}
		out = append(out, rest[i])
		rest = append(rest[:i], rest[i+1:]...)
		if r.IntN(3) == 0 {
			out = append(out, out[r.IntN(len(out))])
		}
	}
	return out
}

func apply(t *rapid.T, z zone.Shared, frames []frame, now clock.Reading) {
	for _, f := range frames {
		if _, err := z.Apply(f.from, f.sequence, f.payload, 0, now); err != nil {
			t.Fatalf("frame %d of %d: %v", f.sequence, f.from, err)
		}
	}
}

func teach(t *rapid.T, from, to zone.Shared, now clock.Reading) {
	for shard := range zone.Shards {
		for cursor, done := uint64(0), false; !done; {
			var piece []byte
			piece, cursor, done = from.TeachShard(shard, cursor, nil, 64, now)
			if len(piece) == 0 {
				continue
			}
			if _, err := to.Learn(piece, now); err != nil {
				t.Fatalf("shard %d: %v", shard, err)
			}
		}
	}
}

// same fails unless readers find the same in both and the digests agree.
func same(t *rapid.T, s Subject, law string, want, got zone.Shared, now clock.Reading) {
	t.Helper()
	for i := range keys {
		if w, g := s.Read(want, key(i), now), s.Read(got, key(i), now); w != g {
			t.Fatalf("%s: %s is %q, want %q", law, key(i), g, w)
		}
	}
	var left, right [zone.Shards]uint64
	if want.Digests(&left) && got.Digests(&right) && left != right {
		t.Fatalf("%s: digests differ", law)
	}
	sketched(t, law, want)
	sketched(t, law, got)
}

// sketched fails unless the sketch updated with each write equals that of a visit of all records.
func sketched(t *rapid.T, law string, z zone.Shared) {
	t.Helper()
	compared, ok := z.(zone.Comparable)
	if !ok {
		return
	}
	kept := compared.Sketch(0, zone.Shards, zone.MinSketchCells)
	for shard := range zone.Shards {
		kept.Subtract(compared.Sketch(shard, 1, zone.MinSketchCells))
	}
	if here, there, ok := kept.Decode(); !ok || len(here)+len(there) > 0 {
		t.Fatalf("%s: the sketch has %v that no record is, and lacks %v", law, here, there)
	}
}

// Laws checks that merging is commutative, associative and idempotent, that codecs lose nothing, and that nothing
// deleted comes back.
func Laws(t *testing.T, s Subject) {
	t.Run(s.Name+"/commutative and idempotent", rapid.MakeCheck(func(t *rapid.T) {
		h := write(t, s)
		now := reading(h.endMS)
		one, two := s.New(), s.New()
		apply(t, one, h.frames, now)
		apply(t, two, mixed(s, h.frames, rapid.Int64().Draw(t, "order")), now)
		same(t, s, "another order", one, two, now)
		apply(t, two, h.frames, now)
		same(t, s, "all again", one, two, now)
	}))
	t.Run(s.Name+"/associative", rapid.MakeCheck(func(t *rapid.T) { associative(t, s) }))
	t.Run(s.Name+"/codec", rapid.MakeCheck(func(t *rapid.T) {
		h := write(t, s)
		now := reading(h.endMS)
		byFrames, byTeaching := s.New(), s.New()
		apply(t, byFrames, framesOf(h.zones[0], 1, 0), now)
		teach(t, h.zones[0], byTeaching, now)
		same(t, s, "frames", h.zones[0], byFrames, now)
		same(t, s, "taught pieces", h.zones[0], byTeaching, now)
	}))
	if s.Delete != nil {
		t.Run(s.Name+"/deleted stays deleted", rapid.MakeCheck(func(t *rapid.T) { deleted(t, s) }))
		t.Run(
			s.Name+"/deleted stays deleted when it is forgotten",
			rapid.MakeCheck(func(t *rapid.T) { forgotten(t, s) }),
		)
	}
}

// associative: two halves merged separately and then together equal everything at once. Kinds that count do it like new
// nodes: they hold costs while an older node teaches them.
func associative(t *rapid.T, s Subject) {
	h := write(t, s)
	now := reading(h.endMS)
	all, teacher, learner := s.New(), s.New(), s.New()
	teacher.SetOrigin(100)
	learner.SetOrigin(101)
	apply(t, all, h.frames, now)
	cut := mixed(Subject{Counts: s.Counts}, h.frames, rapid.Int64().Draw(t, "order"))
	at := rapid.IntRange(0, len(cut)).Draw(t, "cut")
	learner.Hold([zone.Shards / 64]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1})
	if !s.Counts {
		apply(t, teacher, cut[:at], now)
		apply(t, learner, cut[at:], now)
		teach(t, teacher, learner, now)
	} else {
		before := rapid.IntRange(0, len(h.frames)).Draw(t, "before teaching")
		order := mixed(s, h.frames, rapid.Int64().Draw(t, "order at the learner"))
		before = min(before, len(order))
		apply(t, teacher, cut[:at], now)
		apply(t, learner, order[:before], now)
		teach(t, teacher, learner, now)
		apply(t, learner, order[before:], now)
	}
	learner.Release(now)
	same(t, s, "halves", all, learner, now)
}

func deleted(t *rapid.T, s Subject) {
	h := write(t, s)
	now := reading(h.endMS)
	first := h.zones[0]
	apply(t, first, h.frames, now)
	known := first.Journal().Head() - 1
	for i := range keys {
		s.Delete(first, key(i), now)
	}
	first.Flush(now)
	frames := append(h.frames, framesOf(first, 1, known)...)
	other := s.New()
	apply(t, other, mixed(s, frames, rapid.Int64().Draw(t, "order")), now)
	teach(t, h.zones[1], other, now)
	for _, z := range []zone.Shared{first, other} {
		for i := range keys {
			if found := s.Read(z, key(i), now); found != "" {
				t.Fatalf("%s came back as %q", key(i), found)
			}
		}
	}
}

// forgotten: when all members have a deletion, each can drop it, in any order, whatever they teach and repair among
// each other afterwards.
func forgotten(t *rapid.T, s Subject) {
	h := write(t, s)
	now := reading(h.endMS)
	for _, z := range h.zones {
		apply(t, z, h.frames, now)
	}
	first := h.zones[0]
	known := first.Journal().Head() - 1
	for i := range keys {
		s.Delete(first, key(i), now)
	}
	first.Flush(now)
	for _, z := range h.zones[1:] {
		apply(t, z, framesOf(first, 1, known), now)
	}
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		one := h.zones[rapid.IntRange(0, nodes-1).Draw(t, "one")]
		two := h.zones[rapid.IntRange(0, nodes-1).Draw(t, "two")]
		switch rapid.IntRange(0, 2).Draw(t, "step") {
		case 0:
			s.Forget(one, now)
		case 1:
			teach(t, one, two, now)
		default:
			one.Flush(now)
		}
	}
	for _, z := range h.zones {
		for i := range keys {
			if found := s.Read(z, key(i), now); found != "" {
				t.Fatalf("%s came back as %q", key(i), found)
			}
		}
	}
	same(t, s, "after forgetting", h.zones[0], h.zones[1], now)
	same(t, s, "after forgetting", h.zones[0], h.zones[2], now)
}
