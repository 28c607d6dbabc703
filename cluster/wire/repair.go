package wire

import (
	"encoding/binary"
	"fmt"
)

// The messages of repair. Only peers that both announced FeatureRepair exchange them; others skip them.
const (
	// TypeSketch carries the acceptor's sketch of some shards.
	TypeSketch Type = 14
	// TypeRepair carries records that the acceptor lacks.
	TypeRepair Type = 15
	// TypeRepairEnd ends the answer to a Sketch.
	TypeRepairEnd Type = 16
	// TypeWants names records that the acceptor lacks.
	TypeWants Type = 17
	// TypeAgreed tells the dialer that the acceptor holds the same.
	TypeAgreed Type = 18
	// TypeBury names records that the acceptor has and the dialer deleted long ago.
	TypeBury Type = 19
)

// lastType is the last one known to this release. Later ones are skipped unread.
const lastType = TypeDigestRequest

// FeatureRepair means that the sender of the hello exchanges digests and sketches of live records.
const FeatureRepair uint64 = 1 << 2

// FeatureTombstoneSketches is announced by releases before 0.12. Zones are not compared with them: their sketches have
// tombstones.
const FeatureTombstoneSketches uint64 = 1 << 1

// MaxWants bounds the elements of one Wants: the most that one sketch can yield.
const MaxWants = 4096

// Sketch describes the acceptor's contents of shards First to Last.
type Sketch struct {
	Zone        uint64 // index in the dialer's hello
	First, Last uint8
	// Fresh also requests records that were written a moment ago: frames that carried them are lost.
	Fresh bool
	Cells []byte // as zone.Sketch encodes them
}

// Append appends the body of a Sketch frame.
func (s Sketch) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.Zone)
	return append(append(dst, s.First, s.Last, bit(s.Fresh)), s.Cells...)
}

// ParseSketch reads the body of a Sketch frame; Cells is part of it.
func ParseSketch(body []byte) (Sketch, error) {
	f := fields{rest: body}
	s := Sketch{Zone: f.uvarint(), First: f.byte(), Last: f.byte(), Fresh: f.byte() != 0, Cells: f.rest}
	if f.err == nil && s.Last < s.First {
		f.fail(fmt.Errorf("invalid shard range %d to %d", s.First, s.Last))
	}
	return s, named("sketch", f.err)
}

// Repair is records of one zone, in the encoding of taught pieces.
type Repair struct {
	Zone    uint64 // index in the dialer's hello
	Payload []byte
}

// AppendRepairHead appends the part before the payload in the body of a Repair frame.
func AppendRepairHead(dst []byte, zone uint64) []byte { return binary.AppendUvarint(dst, zone) }

// ParseRepair reads the body of a Repair frame; Payload is part of it.
func ParseRepair(body []byte) (Repair, error) {
	f := fields{rest: body}
	r := Repair{Zone: f.uvarint(), Payload: f.rest}
	return r, named("repair", f.err)
}

// RepairEnd ends the answer to a Sketch.
type RepairEnd struct {
	Zone        uint64 // index in the dialer's hello
	First, Last uint8
	// TooMany means that the difference could not be decoded; then the numbers are 0.
	TooMany bool
	// Sent and Wanted count the records that the acceptor and the dialer lacked, Left those ignored as fresh.
	Sent, Wanted, Left uint64
}

// Append appends the body of a RepairEnd frame.
func (r RepairEnd) Append(dst []byte) []byte {
	dst = append(binary.AppendUvarint(dst, r.Zone), r.First, r.Last, bit(r.TooMany))
	for _, v := range [...]uint64{r.Sent, r.Wanted, r.Left} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

// ParseRepairEnd reads the body of a RepairEnd frame.
func ParseRepairEnd(body []byte) (RepairEnd, error) {
	f := fields{rest: body}
	r := RepairEnd{
		Zone: f.uvarint(), First: f.byte(), Last: f.byte(), TooMany: f.byte() != 0,
		Sent: f.uvarint(), Wanted: f.uvarint(), Left: f.uvarint(),
	}
	return r, named("repair end", f.err)
}

// Agreed means that the acceptor's zone holds the same as the dialer's.
type Agreed struct {
	Zone uint64 // index in the dialer's hello
	Left uint64 // records ignored as fresh
}

// Append appends the body of an Agreed frame.
func (a Agreed) Append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, a.Zone), a.Left)
}

// ParseAgreed reads the body of an Agreed frame.
func ParseAgreed(body []byte) (Agreed, error) {
	f := fields{rest: body}
	a := Agreed{Zone: f.uvarint(), Left: f.uvarint()}
	return a, named("agreed", f.err)
}

// Element identifies one version of one record.
type Element struct{ Key, Version uint64 }

// Wants names records: in Wants frames those that the acceptor lacks and the dialer was seen to have, in Bury frames
// those that the dialer lacks, because it deleted them, and the acceptor was seen to have.
type Wants struct {
	Zone     uint64 // index in the dialer's hello
	Elements []Element
}

const elementBytes = 16

// Append appends the body of a Wants frame.
func (w Wants) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, w.Zone)
	dst = binary.AppendUvarint(dst, uint64(len(w.Elements)))
	for _, e := range w.Elements {
		dst = binary.LittleEndian.AppendUint64(dst, e.Key)
		dst = binary.LittleEndian.AppendUint64(dst, e.Version)
	}
	return dst
}

// ParseWants reads the body of a Wants frame.
func ParseWants(body []byte) (Wants, error) {
	f := fields{rest: body}
	w := Wants{Zone: f.uvarint()}
	n := f.count(MaxWants, "records")
	if n*elementBytes > len(f.rest) {
		f.fail(errShort)
		n = 0
	}
	for range n {
		w.Elements = append(w.Elements, Element{Key: f.fixed64(), Version: f.fixed64()})
	}
	return w, named("wants", f.err)
}
