package conncount

import "hash/maphash"

// Heir is a zone that replaces another one while its connections live. Its methods are called under a lock of that
// zone.
type Heir interface {
	// Add counts n connections of a key, whatever the limit, and reports whether there was room.
	Add(key []byte, n uint32) bool
	// Take takes one of them back.
	Take(key []byte)
}

// Follow lets an heir count what this zone counts: now, and with each Enter and Leave from now on. Another heir
// replaces it.
func (z *Zone) Follow(heir Heir) {
	for i := range z.shards {
		s := &z.shards[i]
		s.mu.Lock()
		s.heir = heir
		for i := range s.records {
			r := &s.records[i]
			r.passed = 0
			if r.count > 0 && heir.Add(r.key(), r.count) {
				r.passed = r.count
			}
		}
		s.mu.Unlock()
	}
}

// Add is that of Heir.
func (z *Zone) Add(key []byte, n uint32) bool {
	hash := maphash.Bytes(z.seed, key)
	s := &z.shards[hash&(shardCount-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(hash, key)
	if i == none {
		if i = z.add(s, hash, key); i == none {
			return false
		}
	}
	s.count(&s.records[i], key, n)
	return true
}

// Take is that of Heir.
func (z *Zone) Take(key []byte) {
	hash := maphash.Bytes(z.seed, key)
	s := &z.shards[hash&(shardCount-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(hash, key); i != none {
		z.release(s, i)
	}
}

// count adds to the count of a record, and to that of the heir.
func (s *shard) count(r *record, key []byte, n uint32) {
	r.count += n
	if s.heir != nil && s.heir.Add(key, n) {
		r.passed += n
	}
}

// release takes one from the count of a record, and from that of the heir.
func (z *Zone) release(s *shard, i int32) {
	r := &s.records[i]
	r.count--
	if r.passed > r.count {
		r.passed--
		s.heir.Take(r.key())
	}
	if r.count == 0 {
		z.used.Add(-recordCost(int(r.length)))
		s.remove(i)
	}
}
