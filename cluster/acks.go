package cluster

import (
	"fmt"

	"starling/cluster/wire"
	"starling/lib/clock"
)

func (s *Session) acked(body []byte, now clock.Reading) error {
	return s.eachAck(body, "acknowledges", func(pz *pushZone, sequence uint64) {
		pz.acked = max(pz.acked, sequence)
		if pz.countAcked(); pz.waits {
			s.node.driver.Wake(s)
		}
		s.delivered(pz, now)
	})
}

// eachAck calls yield for each entry of an Ack, or of another message that is like one. Called with mu held.
func (s *Session) eachAck(body []byte, does string, yield func(pz *pushZone, sequence uint64)) error {
	var wrong error
	err := wire.ParseAcks(body, func(a wire.Ack) {
		pz := s.push.find(a.Zone)
		switch {
		case pz == nil && s.retired(a.Zone):
		case pz == nil || a.Sequence >= pz.cursor:
			wrong = fmt.Errorf("peer %s frame %d of zone number %d, which was never sent", does, a.Sequence, a.Zone)
		default:
			yield(pz, a.Sequence)
		}
	})
	if err != nil {
		return err
	}
	return wrong
}
