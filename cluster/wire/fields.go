package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errShort is the error of every truncated message.
var errShort = errors.New("message is truncated")

// fields reads the parts of a body in order and keeps the first failure, so that the parsers below read like the
// messages they parse.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.rest = nil
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.fail(errShort)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// maxSequence is beyond the sequences of any journal (zone.MaxSequence): additions to a sequence do not overflow.
const maxSequence = 1 << 48

func (f *fields) sequence() uint64 {
	v := f.uvarint()
	if v >= maxSequence {
		f.fail(fmt.Errorf("sequence %d is out of range", v))
		return 0
	}
	return v
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.rest)
	if n <= 0 {
		f.fail(errShort)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.fail(errShort)
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

func (f *fields) fixed64() uint64 {
	if len(f.rest) < 8 {
		f.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(f.rest)
	f.rest = f.rest[8:]
	return v
}

// span reads a length and that many bytes, which stay part of the body.
func (f *fields) span(limit int, what string) []byte {
	n := f.uvarint()
	if f.err != nil {
		return nil
	}
	if n > uint64(limit) {
		f.fail(fmt.Errorf("%s has %d bytes; at most %d are allowed", what, n, limit))
		return nil
	}
	if n > uint64(len(f.rest)) {
		f.fail(errShort)
		return nil
	}
	span := f.rest[:n]
	f.rest = f.rest[n:]
	return span
}

func (f *fields) text(limit int, what string) string { return string(f.span(limit, what)) }

// count reads the length of a list whose entries take at least one byte each.
func (f *fields) count(limit int, what string) int {
	n := f.uvarint()
	if f.err != nil {
		return 0
	}
	if n > uint64(limit) || n > uint64(len(f.rest)) {
		f.fail(fmt.Errorf("%d %s; at most %d are allowed", n, what, limit))
		return 0
	}
	return int(n)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
