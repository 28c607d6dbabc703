package zone

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is returned by decoders for bytes that no correct peer sends.
var ErrMalformed = errors.New("malformed zone payload")

// Reader parses untrusted bytes. After a failure, everything it returns is zero and Failed is true, so a decoder checks
// only once per record.
type Reader struct {
	rest   []byte
	failed bool
}

// Read starts reading b. What is returned from it shares its memory.
func Read(b []byte) Reader { return Reader{rest: b} }

// Len returns the number of unread bytes.
func (r *Reader) Len() int { return len(r.rest) }

// Rest returns the unread bytes.
func (r *Reader) Rest() []byte { return r.rest }

// Failed reports whether something was missing or not minimal.
func (r *Reader) Failed() bool { return r.failed }

// Fail marks the bytes as malformed.
func (r *Reader) Fail() { r.failed, r.rest = true, nil }

// Byte returns the next byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Uvarint returns the next varint.
func (r *Reader) Uvarint() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		v := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Varint returns the next zigzag varint.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Uint64 returns the next eight bytes, little endian.
func (r *Reader) Uint64() uint64 {
	b := r.Bytes(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// Bytes returns the next n bytes.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.Fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}
