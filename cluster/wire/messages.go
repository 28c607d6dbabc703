package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Heartbeat keeps a quiet connection alive and measures the round trip and the clocks.
type Heartbeat struct {
	// WallMS is the sender's effective wall clock.
	WallMS uint64
	// Token comes back in the other side's next heartbeat. With FeatureSteady it is the sender's monotonic clock.
	Token uint64
	// Echo is the last token received, 0 if there is none; HeldMS is how long it was held.
	Echo, HeldMS uint64
	// SetMS is by how much the sender's clock was set without being followed: its machine's clock is that far ahead of
	// WallMS. Omitted if it is 0.
	SetMS int64
	// Restless means that the sender may lack deletions of other members: it lately made or lost a connection, or a
	// member that it has lost is not back. Omitted if it is false.
	Restless bool
}

// restlessBit is Restless among the flags of a heartbeat. Later releases may set more.
const restlessBit = 1

// Append appends the body of a Heartbeat frame.
func (h Heartbeat) Append(dst []byte) []byte {
	for _, v := range [...]uint64{h.WallMS, h.Token, h.Echo, h.HeldMS} {
		dst = binary.AppendUvarint(dst, v)
	}
	if h.SetMS != 0 || h.Restless {
		dst = binary.AppendVarint(dst, h.SetMS)
	}
	if h.Restless {
		dst = binary.AppendUvarint(dst, restlessBit)
	}
	return dst
}

// ParseHeartbeat reads the body of a Heartbeat frame.
func ParseHeartbeat(body []byte) (Heartbeat, error) {
	f := fields{rest: body}
	h := Heartbeat{WallMS: f.uvarint(), Token: f.uvarint(), Echo: f.uvarint(), HeldMS: f.uvarint()}
	if len(f.rest) > 0 {
		h.SetMS = f.varint()
	}
	if len(f.rest) > 0 {
		h.Restless = f.uvarint()&restlessBit != 0
	}
	return h, named("heartbeat", f.err)
}

// Data is one frame of a zone's journal.
type Data struct {
	Zone     uint64 // index in the dialer's hello
	Sequence uint64
	AgeMS    uint64 // how long the frame waited at the sender
	Payload  []byte // the zone's own encoding
}

// AppendDataHead appends the part before the payload in the body of a Data frame.
func AppendDataHead(dst []byte, zone, sequence, ageMS uint64) []byte {
	dst = binary.AppendUvarint(dst, zone)
	dst = binary.AppendUvarint(dst, sequence)
	return binary.AppendUvarint(dst, ageMS)
}

// ParseData reads the body of a Data frame; Payload is part of it.
func ParseData(body []byte) (Data, error) {
	f := fields{rest: body}
	d := Data{Zone: f.uvarint(), Sequence: f.sequence(), AgeMS: f.uvarint(), Payload: f.rest}
	if f.err == nil && d.Sequence == 0 { // the start would not be a sequence
		f.fail(errors.New("sequence 0 is out of range: journals begin with 1"))
	}
	return d, named("data", f.err)
}

// Ack confirms that all frames of a zone up to Sequence have been applied.
type Ack struct {
	Zone     uint64 // index in the dialer's hello
	Sequence uint64
}

// AppendAck appends one entry to the body of an Ack frame, which has one or more.
func AppendAck(dst []byte, a Ack) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, a.Zone), a.Sequence)
}

// ParseAcks calls yield for each entry of an Ack frame.
func ParseAcks(body []byte, yield func(Ack)) error {
	f := fields{rest: body}
	for len(f.rest) > 0 {
		a := Ack{Zone: f.uvarint(), Sequence: f.uvarint()}
		if f.err != nil {
			return named("ack", f.err)
		}
		yield(a)
	}
	return nil
}

// ShardSet is a set of the 256 shards of a zone.
type ShardSet [4]uint64

// All is the set of all shards.
var All = ShardSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// Has reports whether shard i is in the set.
func (s *ShardSet) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Add adds shard i to the set.
func (s *ShardSet) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Remove removes shard i from the set.
func (s *ShardSet) Remove(i int) { s[i>>6] &^= 1 << (i & 63) }

// Empty reports whether no shard is in the set.
func (s *ShardSet) Empty() bool { return *s == ShardSet{} }

// TeachRequest asks the dialer to teach shards of a zone.
type TeachRequest struct {
	Zone   uint64 // index in the dialer's hello
	Shards ShardSet
	// Merge requests it even from a node that is not ready: both sides have records of their own.
	Merge bool
	// Both, only with Merge, asks the dialer to request the same in turn.
	Both bool
}

// Append appends the body of a TeachRequest frame.
func (t TeachRequest) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, t.Zone)
	for _, word := range t.Shards {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return append(dst, bit(t.Merge)|bit(t.Both)<<1)
}

// ParseTeachRequest reads the body of a TeachRequest frame.
func ParseTeachRequest(body []byte) (TeachRequest, error) {
	f := fields{rest: body}
	t := TeachRequest{Zone: f.uvarint()}
	for i := range t.Shards {
		t.Shards[i] = f.fixed64()
	}
	merge := f.byte()
	t.Merge, t.Both = merge != 0, merge&2 != 0
	return t, named("teach request", f.err)
}

// MaxFrontier bounds the origins of one TeachBegin: nodes of a cluster and their recent lives.
const MaxFrontier = 4096

// Applied is the last sequence applied of one origin.
type Applied struct{ Origin, Sequence uint64 }

// TeachBegin precedes taught pieces.
type TeachBegin struct {
	Zone uint64 // index in the dialer's hello
	// LostTo, if not 0, is the sequence at which the journal continues: frames before it are lost for good.
	LostTo uint64
	// Frontier is what the teacher had applied, of each origin and itself, before it cut the first shard.
	Frontier []Applied
}

// Append appends the body of a TeachBegin frame.
func (t *TeachBegin) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, t.Zone)
	dst = binary.AppendUvarint(dst, t.LostTo)
	dst = binary.AppendUvarint(dst, uint64(len(t.Frontier)))
	for _, a := range t.Frontier {
		dst = binary.LittleEndian.AppendUint64(dst, a.Origin)
		dst = binary.AppendUvarint(dst, a.Sequence)
	}
	return dst
}

// ParseTeachBegin reads the body of a TeachBegin frame.
func ParseTeachBegin(body []byte) (TeachBegin, error) {
	f := fields{rest: body}
	t := TeachBegin{Zone: f.uvarint(), LostTo: f.sequence()}
	n := f.count(MaxFrontier, "origins")
	for range n {
		t.Frontier = append(t.Frontier, Applied{Origin: f.fixed64(), Sequence: f.sequence()})
		if f.err != nil {
			break
		}
	}
	return t, named("teach begin", f.err)
}

// Teach is one piece of a shard.
type Teach struct {
	Zone    uint64 // index in the dialer's hello
	Shard   uint8
	Last    bool // the shard is finished
	Payload []byte
}

// AppendTeachHead appends the part before the payload in the body of a Teach frame.
func AppendTeachHead(dst []byte, zone uint64, shard uint8, last bool) []byte {
	return append(binary.AppendUvarint(dst, zone), shard, bit(last))
}

// ParseTeach reads the body of a Teach frame; Payload is part of it.
func ParseTeach(body []byte) (Teach, error) {
	f := fields{rest: body}
	t := Teach{Zone: f.uvarint(), Shard: f.byte(), Last: f.byte() != 0, Payload: f.rest}
	return t, named("teach", f.err)
}

// Ready means that the dialer may teach a zone from now on.
type Ready struct{ Zone uint64 }

// Append appends the body of a Ready frame.
func (r Ready) Append(dst []byte) []byte { return binary.AppendUvarint(dst, r.Zone) }

// ParseReady reads the body of a Ready frame.
func ParseReady(body []byte) (Ready, error) {
	f := fields{rest: body}
	return Ready{Zone: f.uvarint()}, named("ready", f.err)
}

// Digests shows the dialer's content of a zone, one number per shard.
type Digests struct {
	Zone   uint64
	Shards *[256]uint64
}

// Append appends the body of a Digests frame.
func (d Digests) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, d.Zone)
	for _, v := range d.Shards {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// ParseDigests reads the body of a Digests frame.
func ParseDigests(body []byte) (Digests, error) {
	f := fields{rest: body}
	d := Digests{Zone: f.uvarint()}
	if len(f.rest) < 8*len(d.Shards) { // before anything is allocated for them
		f.fail(errShort)
		return d, named("digests", f.err)
	}
	d.Shards = new([256]uint64)
	for i := range d.Shards {
		d.Shards[i] = f.fixed64()
	}
	return d, named("digests", f.err)
}

// Report tells the dialer that records it sent were rejected.
type Report struct {
	Zone    uint64 // index in the dialer's hello
	Records uint64
	// AheadMS is how far the dialer's clock is ahead of the reporter's cluster time, by its last heartbeat.
	AheadMS int64
}

// Append appends the body of a Report frame.
func (r Report) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, r.Zone)
	dst = binary.AppendUvarint(dst, r.Records)
	return binary.AppendVarint(dst, r.AheadMS)
}

// ParseReport reads the body of a Report frame.
func ParseReport(body []byte) (Report, error) {
	f := fields{rest: body}
	r := Report{Zone: f.uvarint(), Records: f.uvarint(), AheadMS: f.varint()}
	return r, named("report", f.err)
}

// Reason is why a node ends a connection.
type Reason uint8

// The reasons of a Goodbye.
const (
	// ReasonStopping: the node is shutting down.
	ReasonStopping Reason = 1
	// ReasonReload: its configuration changed; dial again at once.
	ReasonReload Reason = 2
	// ReasonLeft: the other side is no longer a member here.
	ReasonLeft Reason = 3
	// ReasonAlias: another connection reaches the same node.
	ReasonAlias Reason = 4
	// ReasonSelf: the node reached itself.
	ReasonSelf Reason = 5
	// ReasonError: the text describes the error.
	ReasonError Reason = 6
)

// Goodbye is the last message of a connection.
type Goodbye struct {
	Reason Reason
	Text   string
}

// Append appends the body of a Goodbye frame.
func (g Goodbye) Append(dst []byte) []byte {
	text := g.Text
	if len(text) > MaxTextBytes {
		text = text[:MaxTextBytes]
	}
	return appendText(append(dst, byte(g.Reason)), text)
}

// ParseGoodbye reads the body of a Goodbye frame.
func ParseGoodbye(body []byte) (Goodbye, error) {
	f := fields{rest: body}
	g := Goodbye{Reason: Reason(f.byte()), Text: f.text(MaxTextBytes, "text")}
	return g, named("goodbye", f.err)
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func named(message string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", message, err)
	}
	return nil
}
