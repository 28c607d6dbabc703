package wire

// The messages by which a dialer learns soon that its changes have arrived, or are on disk. Only peers that both
// announced FeatureDelivery exchange them.
const (
	// TypeAwait asks the acceptor to acknowledge at once.
	TypeAwait Type = 24
	// TypeKept tells the dialer which of its frames are on the acceptor's disk. Its body is that of an Ack.
	TypeKept Type = 25
)

// FeatureDelivery means that the sender of the hello answers Await.
const FeatureDelivery uint64 = 1 << 5

// Await asks for an acknowledgement of all frames sent before it.
type Await struct {
	// Kept are zones, by their index in the dialer's hello, of which the dialer also waits for a Kept.
	Kept []uint64
}

// Append appends the body of an Await frame.
func (a Await) Append(dst []byte) []byte { return appendIndexes(dst, a.Kept) }

// ParseAwait reads the body of an Await frame.
func ParseAwait(body []byte) (Await, error) {
	f := fields{rest: body}
	return Await{Kept: f.indexes()}, named("await", f.err)
}
