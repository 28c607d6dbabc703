package wire

import (
	"encoding/binary"
	"errors"
)

// The messages by which an acceptor asks a dialer for one record, because a client names it and the acceptor lacks it.
// Only peers that both announced FeatureQuestions exchange them.
const (
	// TypeAsk asks the dialer for the record of a key.
	TypeAsk Type = 26
	// TypeAnswer is the dialer's answer.
	TypeAnswer Type = 27
)

// FeatureQuestions means that the sender of the hello answers Ask.
const FeatureQuestions uint64 = 1 << 6

// MaxAskedKeyBytes bounds the key of a question: those of sessions have 16 bytes.
const MaxAskedKeyBytes = 256

// Ask asks for the record of a key.
type Ask struct {
	Number uint64 // of the question; the answer has it too
	Zone   uint64 // index in the dialer's hello
	Key    []byte
}

// Append appends the body of an Ask frame.
func (a Ask) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, a.Number), a.Zone)
	return append(binary.AppendUvarint(dst, uint64(len(a.Key))), a.Key...)
}

// ParseAsk reads the body of an Ask frame; Key is part of it.
func ParseAsk(body []byte) (Ask, error) {
	f := fields{rest: body}
	a := Ask{Number: f.uvarint(), Zone: f.uvarint(), Key: f.span(MaxAskedKeyBytes, "key")}
	if f.err == nil && len(a.Key) == 0 {
		f.fail(errors.New("key is empty"))
	}
	return a, named("ask", f.err)
}

// Answer has the record that was asked for, or none.
type Answer struct {
	Number, Zone uint64 // of the question
	Payload      []byte // in the encoding of taught pieces; empty if the dialer has no such record
}

// AppendAnswerHead appends the part before the payload in the body of an Answer frame.
func AppendAnswerHead(dst []byte, number, zone uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, number), zone)
}

// ParseAnswer reads the body of an Answer frame; Payload is part of it.
func ParseAnswer(body []byte) (Answer, error) {
	f := fields{rest: body}
	a := Answer{Number: f.uvarint(), Zone: f.uvarint(), Payload: f.rest}
	return a, named("answer", f.err)
}
