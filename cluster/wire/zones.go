package wire

import "encoding/binary"

// The messages by which zones change on an established connection. Only peers that both announced FeatureZones exchange
// them; connections to others are reopened.
const (
	// TypeZones removes zones from the dialer's list and adds others.
	TypeZones Type = 20
	// TypeShares tells the dialer what the acceptor shares now.
	TypeShares Type = 21
)

// FeatureZones means that the sender of the hello follows changes of zones on an established connection.
const FeatureZones uint64 = 1 << 3

// Zones changes the list of the dialer's hello. An index is used once in the life of a connection: an added zone gets
// the next one, and a removed one leaves a hole.
type Zones struct {
	// Answered is how many Shares that require an answer have been answered by now.
	Answered uint64
	Removed  []uint64 // indexes
	Added    []Zone
}

// Append appends the body of a Zones frame.
func (z *Zones) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, z.Answered)
	return appendZones(appendIndexes(dst, z.Removed), z.Added)
}

// ParseZones reads the body of a Zones frame.
func ParseZones(body []byte) (Zones, error) {
	f := fields{rest: body}
	z := Zones{Answered: f.uvarint(), Removed: f.indexes(), Added: f.zones()}
	return z, named("zones", f.err)
}

// Shares is the acceptor's list of zones, and which of the dialer's it accepts from now on.
type Shares struct {
	// Asks requires an answer: a Zones that offers again what the acceptor may accept now.
	Asks bool
	// Known is how many indexes of the dialer the acceptor knows, including holes.
	Known   uint64
	Zones   []Zone
	Stopped []uint64 // indexes of the dialer that the acceptor no longer accepts; they are holes from now on
	Resumes []Resume // where journals begin, as in a Reply
}

// Append appends the body of a Shares frame.
func (s *Shares) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, bit(s.Asks)), s.Known)
	return appendResumes(appendIndexes(appendZones(dst, s.Zones), s.Stopped), s.Resumes)
}

// ParseShares reads the body of a Shares frame.
func ParseShares(body []byte) (Shares, error) {
	f := fields{rest: body}
	s := Shares{Asks: f.byte() != 0, Known: f.uvarint(), Zones: f.zones(), Stopped: f.indexes(), Resumes: f.resumes()}
	return s, named("shares", f.err)
}

func appendIndexes(dst []byte, list []uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, index := range list {
		dst = binary.AppendUvarint(dst, index)
	}
	return dst
}

func (f *fields) indexes() (list []uint64) {
	for range f.count(MaxZones, "indexes") {
		list = append(list, f.uvarint())
	}
	return list
}
