package carrier

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync/atomic"

	"starling/cluster/strict"
	"starling/cluster/wire"
)

// Two members that do not reach each other talk over a third, which must not speak in their name. So each member gives
// each other one a secret, in its pings, which only count directly; what is sent to it over a third is sealed with it.
// A process has new secrets, so it does not hear over a third from members that it has not reached yet.
type seals struct {
	mine   [strict.MembersMost]strict.Proof // given to the member of the seat
	theirs [strict.MembersMost]atomic.Pointer[strict.Proof]
}

func newSeals() *seals {
	s := new(seals)
	for i := range s.mine {
		_, _ = rand.Read(s.mine[i][:]) // it never fails
	}
	return s
}

// proven adds to a message what its receiver needs to know who made it.
func (s *seating) proven(tag uint64, e *strict.Envelope) {
	switch {
	case e.From != s.self: // passed on: its seal is from the node that made it
	case e.Kind == strict.Ping:
		e.Secret = s.seals.mine[e.To]
	case e.Hop != e.To:
		if secret := s.seals.theirs[e.To].Load(); secret != nil {
			e.Seal = s.seal(*secret, tag, e.Message)
		}
	}
}

// meet notes the secret that a member gave this node.
func (s *seating) meet(m *strict.Message) {
	if known := s.seals.theirs[m.From].Load(); known == nil || *known != m.Secret {
		secret := m.Secret
		s.seals.theirs[m.From].Store(&secret)
	}
}

// made reports whether a message that another member passed on was made by the member that it names.
func (s *seating) made(tag uint64, m *strict.Message) bool {
	want := s.seal(s.seals.mine[m.From], tag, *m)
	return hmac.Equal(want[:], m.Seal[:])
}

func (s *seating) seal(secret strict.Proof, tag uint64, m strict.Message) (seal strict.Proof) {
	m.Seal = strict.Proof{}
	envelope := wire.Strict{List: s.hash, Zone: tag, From: uint8(m.From), To: uint8(m.To)}
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(wire.AppendStrictMessage(envelope.Append(nil), &m))
	copy(seal[:], mac.Sum(nil))
	return seal
}
