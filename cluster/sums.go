package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// A dialer describes what it holds by one sum for each zone. Only where sums differ, the acceptor asks for the digests
// of all shards, which are 2 KB: in a cluster of N nodes that is idle, N*N of them would be sent in each round for
// nothing.

// beginsWithSums reports whether both ends compare sums first.
func (s *Session) beginsWithSums() bool {
	return s.node.features&s.their.Features&wire.FeatureSums != 0
}

// fillSums appends the sums of all zones that can be compared. Called with mu held.
func (s *Session) fillSums(dst []byte) []byte {
	var shards [zone.Shards]uint64
	sums := s.push.sums[:0]
	for _, pz := range s.push.zones {
		if mine, ok := contentOf(pz.state, &shards); ok {
			pz.compared = mine
			sums = append(sums, wire.Sum{Zone: pz.index, Sum: mine.sum})
		}
	}
	s.push.sums = sums
	if len(sums) == 0 {
		return dst
	}
	slices.SortFunc(sums, func(a, b wire.Sum) int { return cmp.Compare(a.Zone, b.Zone) })
	s.push.head = wire.AppendSums(s.push.head[:0], sums)
	return s.appendPlain(dst, wire.TypeSums, s.push.head)
}

// sums compares the sums of a dialer with this node's, and asks for the digests of the zones that differ. Called with
// mu held.
func (s *Session) sums(body []byte, now clock.Reading) error {
	sums, err := wire.ParseSums(body)
	if err != nil {
		return err
	}
	if !s.comparesDigests() {
		return nil
	}
	var shards [zone.Shards]uint64
	var differing []uint64
	for _, sum := range sums {
		iz, err := s.zone(sum.Zone)
		switch {
		case err == errRetired:
			continue
		case err != nil:
			return err
		}
		held, ok := contentOf(iz.state, &shards)
		switch {
		case !ok:
		case held.sum != sum.Sum:
			differing = append(differing, sum.Zone)
		default:
			s.compare(iz, held, wire.ShardSet{}, now)
		}
	}
	if len(differing) > 0 {
		s.send(wire.TypeDigestRequest, wire.DigestRequest{Zones: differing}.Append(nil))
	}
	return nil
}

// digestsRequested notes the zones whose digests the acceptor wants. Called with mu held.
func (s *Session) digestsRequested(body []byte) error {
	request, err := wire.ParseDigestRequest(body)
	if err != nil {
		return err
	}
	for _, index := range request.Zones {
		pz := s.push.find(index)
		if pz == nil {
			if err := s.unlessRetired(index, "peer requests digests of"); err != nil {
				return fmt.Errorf("digest request: %w", err)
			}
			continue
		}
		pz.digestsDue = true
	}
	s.node.driver.Wake(s)
	return nil
}
