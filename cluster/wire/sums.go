package wire

import (
	"encoding/binary"
	"errors"
)

// The messages of a short comparison. Only peers that both announced FeatureSums exchange them; others send Digests.
const (
	// TypeSums tells the acceptor the sum of all records of each zone.
	TypeSums Type = 32
	// TypeDigestRequest asks the dialer for the Digests of zones whose sums differ.
	TypeDigestRequest Type = 33
)

// FeatureSums means that the sender of the hello compares sums of whole zones before digests.
const FeatureSums uint64 = 1 << 9

// Sum is the sum over the digests of all shards of a zone, modulo 2^64.
type Sum struct {
	Zone uint64 // index in the dialer's hello
	Sum  uint64
}

// errOrder keeps a list from naming a zone twice: each sum costs the receiver a look at all shards.
var errOrder = errors.New("zones are not in ascending order")

// AppendSums appends the body of a Sums frame. Zones must be in ascending order.
func AppendSums(dst []byte, sums []Sum) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(sums)))
	for _, s := range sums {
		dst = binary.LittleEndian.AppendUint64(binary.AppendUvarint(dst, s.Zone), s.Sum)
	}
	return dst
}

// ParseSums reads the body of a Sums frame.
func ParseSums(body []byte) (sums []Sum, err error) {
	f := fields{rest: body}
	for range f.count(MaxZones, "sums") {
		s := Sum{Zone: f.uvarint(), Sum: f.fixed64()}
		if last := len(sums) - 1; last >= 0 && s.Zone <= sums[last].Zone {
			f.fail(errOrder)
		}
		if f.err != nil {
			break
		}
		sums = append(sums, s)
	}
	return sums, named("sums", f.err)
}

// DigestRequest asks for the Digests of zones.
type DigestRequest struct {
	Zones []uint64 // indexes in the dialer's hello
}

// Append appends the body of a DigestRequest frame.
func (d DigestRequest) Append(dst []byte) []byte { return appendIndexes(dst, d.Zones) }

// ParseDigestRequest reads the body of a DigestRequest frame.
func ParseDigestRequest(body []byte) (DigestRequest, error) {
	f := fields{rest: body}
	return DigestRequest{Zones: f.indexes()}, named("digest request", f.err)
}
