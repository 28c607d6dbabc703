package kinds

import (
	"cmp"

	"starling/lib/clock"
	"starling/zone"
)

// This file follows the nodes that tell their findings. A finding is only worth as much as the node that tells it
// again: when the node is gone, so is the finding.

// speaker is one life of one other node that tells findings.
type speaker struct {
	life
	findings int
	said     [zone.Shards]map[string]told
}

// told is one finding of a speaker.
type told struct {
	value []byte
	atMS  int64 // monotonic
}

// speakerBytes is what a finding of another node costs besides its record in a zone: an entry of a map, a string and a
// slice.
const speakerBytes = 64

func costOfTold(key string, value []byte) int64 {
	return zone.CostBytes(len(key), len(value)) + speakerBytes
}

// speaker finds or makes the state of an origin. It returns nil if there is no room: each start of each node is one. A
// new one must teach everything: whoever else taught this zone has only said what it found itself.
func (h *Health) speaker(name zone.Origin, now clock.Reading) *speaker {
	if s := h.speakers[name]; s != nil {
		return s
	}
	if len(h.speakers) >= maxLives && !h.forgetLongestAway() {
		return nil
	}
	s := &speaker{life: life{name: name, heardMS: now.MonoMS, lacks: everyShard}}
	h.speakers[name] = s
	return s
}

func (h *Health) forgetLongestAway() bool {
	var longest *speaker
	for _, s := range h.speakers {
		if s.isAway && (longest == nil || cmp.Or(
			cmp.Compare(s.heardMS, longest.heardMS), cmp.Compare(s.name, longest.name)) < 0) {
			longest = s
		}
	}
	if longest == nil {
		return false
	}
	h.dropAll(longest)
	delete(h.speakers, longest.name)
	return true
}

// dropAll forgets all that a speaker told. It must teach everything when it is back.
func (h *Health) dropAll(s *speaker) {
	for shard := range s.said {
		h.forgetShard(s, shard)
	}
	s.lacks, s.taught = everyShard, nil
}

func (h *Health) forgetShard(s *speaker, shard int) {
	for key, f := range s.said[shard] {
		h.foreign.Add(-costOfTold(key, f.value))
		s.findings--
		h.changed([]byte(key))
	}
	s.said[shard] = nil
}

// hear takes over a finding of a speaker; one without a value is withdrawn. told is held.
func (h *Health) hear(s *speaker, shard int, key, value []byte, monoMS int64) outcome {
	before, isKnown := s.said[shard][string(key)]
	more := -costOfTold(string(key), before.value)
	if !isKnown {
		more = 0
	}
	if len(value) == 0 {
		if !isKnown {
			return lost
		}
		delete(s.said[shard], string(key))
		s.findings--
		h.foreign.Add(more)
		h.changed(key)
		return won
	}
	more += costOfTold(string(key), value)
	if more > 0 && h.foreign.Load()+more > h.half() {
		h.lacked.Store(true)
		return refused
	}
	if !isKnown {
		s.findings++
	}
	if s.said[shard] == nil {
		s.said[shard] = map[string]told{}
	}
	s.said[shard][string(key)] = told{append([]byte(nil), value...), monoMS}
	h.foreign.Add(more)
	h.changed(key)
	return won
}

// Began notes that the node of an origin is connected.
func (h *Health) Began(from zone.Origin, _ uint64, now clock.Reading) {
	h.told.Lock()
	defer h.told.Unlock()
	if s := h.speaker(from, now); s != nil {
		s.isAway, s.heardMS = false, now.MonoMS
	}
}

// Heard notes when each connected origin was last heard (monotonic); origins has all of them. If an origin was not
// heard for silentMS, what it told is forgotten. Time in which this process was stopped is not silence. If all nodes
// are connected, the other origins are earlier lives of them.
func (h *Health) Heard(origins map[zone.Origin]int64, all bool, silentMS int64, now clock.Reading) {
	h.told.Lock()
	defer h.told.Unlock()
	stoppedMS := h.stoppedMS(now)
	for _, s := range h.speakers {
		if s.isOver(origins, all, silentMS, stoppedMS, now) && s.findings > 0 {
			h.dropAll(s)
		}
	}
	if h.foreign.Load() < h.half()/4*3 {
		h.lacked.Store(false)
	}
}

// Lacks returns the shards that an origin must teach. Nothing is known for sure of one that is not connected.
func (h *Health) Lacks(from zone.Origin) (shards [zone.Shards / 64]uint64) {
	h.told.Lock()
	defer h.told.Unlock()
	s := h.speakers[from]
	if s == nil || s.isAway {
		return everyShard
	}
	return s.lacks
}

// Wants returns the shards that a connected origin is to teach now.
func (h *Health) Wants(from zone.Origin) (shards [zone.Shards / 64]uint64) {
	h.told.Lock()
	defer h.told.Unlock()
	if s := h.speakers[from]; s != nil && !s.isAway {
		return s.lacks
	}
	return shards
}

// Forfeit is called when frames of an origin are lost: findings in it may be stale until it has taught everything.
func (h *Health) Forfeit(from zone.Origin, to uint64) {
	h.told.Lock()
	defer h.told.Unlock()
	if s := h.speaker(from, clock.Reading{MonoMS: h.seenMS.Load()}); s != nil {
		s.forfeit(to)
	}
}

// Disown drops what came in an origin's name: another node sent it, or a later life of the node has begun.
func (h *Health) Disown(from zone.Origin) {
	h.told.Lock()
	defer h.told.Unlock()
	if s := h.speakers[from]; s != nil {
		s.completed = 0
		h.dropAll(s)
	}
}
