package wire

import (
	"encoding/binary"
	"fmt"

	"starling/cluster/strict"
)

// The messages of limits that are never exceeded. Only peers that both announced FeatureStrict exchange them, each on
// the connection that it dialled.
const (
	// TypeStrict is a message about the keys of a zone.
	TypeStrict Type = 30
	// TypeRegister is a message of the register that decides the views of all strict zones.
	TypeRegister Type = 31
)

// FeatureStrict means that the sender of the hello keeps strict limits.
const FeatureStrict uint64 = 1 << 8

const (
	// StrictPartBytes is how much of a message one frame carries. Only claims are longer: they list keys.
	StrictPartBytes = 64 << 10
	// MaxStrictBytes bounds a whole message: a claim of all keys that a node has room for.
	MaxStrictBytes = 16 << 20
	// maxHoldings bounds a claim: so many of the shortest fit.
	maxHoldings = MaxStrictBytes / 7
	// maxAmount bounds all amounts and times, so that sums of a few do not overflow.
	maxAmount = 1 << 60
	// maxDemand bounds what a node says about its demand, so that the sum of all members does not overflow: 72 million
	// requests per second.
	maxDemand = 1 << 56
)

// Strict is the envelope of a message, or of a part of one.
type Strict struct {
	// List identifies the list of members by which seats count, Zone the zone and its settings. A receiver that has
	// another list or other settings drops the message.
	List, Zone uint64
	// From and To are seats. The peer may only forward the message, once.
	From, To uint8
	// More means that the next frame of this connection continues the message.
	More bool
	Part []byte
}

// Append appends the body of a Strict frame.
func (m *Strict) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.List)
	dst = binary.LittleEndian.AppendUint64(dst, m.Zone)
	return append(append(dst, m.From, m.To, bit(m.More)), m.Part...)
}

// ParseStrict reads the body of a Strict frame; Part is part of it.
func ParseStrict(body []byte) (Strict, error) {
	f := fields{rest: body}
	m := Strict{List: f.fixed64(), Zone: f.fixed64(), From: f.byte(), To: f.byte(), More: f.byte()&1 != 0, Part: f.rest}
	if f.err == nil && (m.From >= strict.MembersMost || m.To >= strict.MembersMost) {
		f.fail(fmt.Errorf("seat %d or %d is not below %d", m.From, m.To, strict.MembersMost))
	}
	return m, named("strict", f.err)
}

// AppendStrictFrames appends a whole message as one or more frames.
func AppendStrictFrames(dst []byte, envelope Strict, message []byte) []byte {
	var head []byte
	for {
		part := message[:min(len(message), StrictPartBytes)]
		message = message[len(part):]
		envelope.More, envelope.Part = len(message) > 0, nil
		head = envelope.Append(head[:0])
		dst = AppendFrame(dst, TypeStrict, head, part)
		if !envelope.More {
			return dst
		}
	}
}

// AppendStrictMessage appends a message of the core without its seats. Messages that move views (strict.Tell) are not
// sent: the register tells each node.
func AppendStrictMessage(dst []byte, m *strict.Message) []byte {
	dst = binary.AppendUvarint(append(dst, byte(m.Kind)), m.View)
	switch m.Kind {
	case strict.Ping:
		dst = appendUvarints(binary.LittleEndian.AppendUint64(dst, m.Incarnation), m.SentUS)
		s := &m.State
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Hears))
		dst = append(binary.LittleEndian.AppendUint64(dst, uint64(s.Silent)), bit(s.Promised))
		for _, v := range []uint64{uint64(s.UpSession), uint64(s.DownSession), s.UpSent, s.DownSent} {
			dst = binary.AppendUvarint(dst, v)
		}
		return appendProof(dst, m.Secret)
	case strict.Pong:
		return appendUvarints(binary.LittleEndian.AppendUint64(dst, m.Incarnation), m.SentUS)
	case strict.Exclude, strict.Consent:
		return appendMembers(dst, m.Excluded)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(m.Session)), m.Sequence)
	switch m.Kind {
	case strict.Claim:
		dst = binary.AppendUvarint(append(dst, bit(m.Armed)), uint64(len(m.Holdings)))
		for i := range m.Holdings {
			h := &m.Holdings[i]
			dst = append(appendPiece(appendText(dst, h.Key), h.Piece), bit(h.Pool))
			dst = appendUvarints(dst, h.DemandNano)
		}
	case strict.Ask:
		dst = binary.AppendUvarint(appendText(dst, m.Key), m.AskID)
		dst = appendUvarints(dst, m.NeedRequests, m.WindowUS, m.DemandNano)
	case strict.Grant:
		dst = appendPiece(appendText(dst, m.Key), m.Piece)
		dst = appendUvarints(binary.AppendUvarint(dst, m.AskID), m.Tokens, m.HoldUS)
		dst = append(dst, byte(m.Flags))
	case strict.Recall:
		dst = append(appendUvarints(appendText(dst, m.Key), m.Keep), byte(m.Flags))
	case strict.Return:
		dst = appendPiece(appendText(dst, m.Key), m.Piece)
		dst = append(appendUvarints(dst, m.DemandNano), byte(m.Flags))
	case strict.AskSlots:
		dst = appendUvarints(binary.AppendUvarint(appendText(dst, m.Key), m.AskID), m.Slots, m.Limit)
	case strict.GrantSlots:
		dst = appendUvarints(binary.AppendUvarint(appendText(dst, m.Key), m.AskID), m.Slots, m.Limit, m.HoldUS)
	case strict.RecallSlots:
		dst = appendText(dst, m.Key)
	case strict.ReturnSlots:
		dst = appendUvarints(appendText(dst, m.Key), m.Slots, m.Limit)
	}
	return appendProof(dst, m.Seal)
}

// appendProof appends a proof, if there is one: older releases send none, and skip it.
func appendProof(dst []byte, p strict.Proof) []byte {
	if p == (strict.Proof{}) {
		return dst
	}
	return append(dst, p[:]...)
}

// strictProof reads what appendProof appended.
func (f *fields) strictProof() (p strict.Proof) {
	if f.err == nil && len(f.rest) >= len(p) {
		f.rest = f.rest[copy(p[:], f.rest):]
	}
	return p
}

func appendUvarints(dst []byte, list ...int64) []byte {
	for _, v := range list {
		dst = binary.AppendUvarint(dst, uint64(max(v, 0)))
	}
	return dst
}

func appendPiece(dst []byte, p strict.Piece) []byte {
	return appendUvarints(dst, p.Capacity, p.Rate, p.Level)
}

func appendMembers(dst []byte, list []strict.Member) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, m := range list {
		dst = binary.LittleEndian.AppendUint64(append(dst, byte(m.Seat)), m.Incarnation)
		dst = binary.AppendUvarint(dst, m.Birth)
	}
	return dst
}

// ParseStrictMessage reads a message of the core. A kind of a later release is read as one without contents.
func ParseStrictMessage(body []byte) (m strict.Message, err error) {
	f := fields{rest: body}
	m.Kind, m.View = strict.Kind(f.byte()), f.uvarint()
	switch m.Kind {
	case strict.Ping:
		m.Incarnation, m.SentUS = f.fixed64(), f.amount()
		m.State = strict.PingState{
			Hears: strict.Seats(f.fixed64()), Silent: strict.Seats(f.fixed64()), Promised: f.byte()&1 != 0,
			UpSession: f.session(), DownSession: f.session(), UpSent: f.uvarint(), DownSent: f.uvarint(),
		}
		m.Secret = f.strictProof()
	case strict.Pong:
		m.Incarnation, m.SentUS = f.fixed64(), f.amount()
	case strict.Exclude, strict.Consent:
		m.Excluded = f.members()
	case strict.Resync, strict.Claim, strict.Ask, strict.Grant, strict.Recall, strict.Return, strict.AskSlots,
		strict.GrantSlots, strict.RecallSlots, strict.ReturnSlots:
		m.Session, m.Sequence = f.session(), f.uvarint()
		f.streamed(&m)
		m.Seal = f.strictProof()
	default:
		return m, named("strict message", f.err)
	}
	return m, named("strict message", f.err)
}

// streamed reads the rest of a message that moves pieces.
func (f *fields) streamed(m *strict.Message) {
	switch m.Kind {
	case strict.Claim:
		m.Armed = f.byte()&1 != 0
		for range f.count(maxHoldings, "holdings") {
			if f.err != nil {
				return
			}
			h := strict.Holding{Key: f.text(strict.KeyBytesMost, "key"), Piece: f.piece()}
			h.Pool, h.DemandNano = f.byte()&1 != 0, f.demand()
			m.Holdings = append(m.Holdings, h)
		}
	case strict.Ask:
		m.Key, m.AskID = f.text(strict.KeyBytesMost, "key"), f.uvarint()
		m.NeedRequests, m.WindowUS, m.DemandNano = f.amount(), f.amount(), f.demand()
	case strict.Grant:
		m.Key, m.Piece, m.AskID = f.text(strict.KeyBytesMost, "key"), f.piece(), f.uvarint()
		m.Tokens, m.HoldUS, m.Flags = f.amount(), f.amount(), strict.Flags(f.byte())
	case strict.Recall:
		m.Key, m.Keep, m.Flags = f.text(strict.KeyBytesMost, "key"), f.amount(), strict.Flags(f.byte())
	case strict.Return:
		m.Key, m.Piece = f.text(strict.KeyBytesMost, "key"), f.piece()
		m.DemandNano, m.Flags = f.demand(), strict.Flags(f.byte())
	case strict.AskSlots:
		m.Key, m.AskID = f.text(strict.KeyBytesMost, "key"), f.uvarint()
		m.Slots, m.Limit = f.amount(), f.amount()
	case strict.GrantSlots:
		m.Key, m.AskID = f.text(strict.KeyBytesMost, "key"), f.uvarint()
		m.Slots, m.Limit, m.HoldUS = f.amount(), f.amount(), f.amount()
	case strict.RecallSlots:
		m.Key = f.text(strict.KeyBytesMost, "key")
	case strict.ReturnSlots:
		m.Key, m.Slots, m.Limit = f.text(strict.KeyBytesMost, "key"), f.amount(), f.amount()
	}
}

func (f *fields) bounded(most uint64, what string) int64 {
	v := f.uvarint()
	if v > most {
		f.fail(fmt.Errorf("%s %d is out of range", what, v))
		return 0
	}
	return int64(v)
}

func (f *fields) amount() int64   { return f.bounded(maxAmount, "amount") }
func (f *fields) demand() int64   { return f.bounded(maxDemand, "demand") }
func (f *fields) session() uint32 { return uint32(f.bounded(1<<32-1, "session")) }

func (f *fields) piece() strict.Piece {
	return strict.Piece{Capacity: f.amount(), Rate: f.amount(), Level: f.amount()}
}

func (f *fields) members() (list []strict.Member) {
	for range f.count(strict.MembersMost, "members") {
		m := strict.Member{Seat: strict.Seat(f.byte()), Incarnation: f.fixed64(), Birth: f.uvarint()}
		if m.Seat >= strict.MembersMost || len(list) > 0 && m.Seat <= list[len(list)-1].Seat {
			f.fail(fmt.Errorf("seat %d is out of order", m.Seat))
		}
		list = append(list, m)
	}
	return list
}

// AppendStrictView appends a view as the register keeps it.
func AppendStrictView(dst []byte, v *strict.View) []byte {
	return appendMembers(append(binary.AppendUvarint(dst, v.Number), bit(v.Founding)), v.Members)
}

// ParseStrictView reads a view of the register.
func ParseStrictView(body []byte) (strict.View, error) {
	f := fields{rest: body}
	v := strict.View{Number: f.uvarint(), Founding: f.byte()&1 != 0}
	v.Members = f.members()
	return v, named("strict view", f.err)
}

// Register is the envelope of a message of the register.
type Register struct {
	List     uint64 // as of Strict
	From, To uint8  // seats; the peer has From
	Letter   []byte
}

// Append appends the body of a Register frame.
func (m *Register) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.List)
	return append(append(dst, m.From, m.To), m.Letter...)
}

// ParseRegister reads the body of a Register frame; Letter is part of it.
func ParseRegister(body []byte) (Register, error) {
	f := fields{rest: body}
	m := Register{List: f.fixed64(), From: f.byte(), To: f.byte(), Letter: f.rest}
	return m, named("register", f.err)
}
