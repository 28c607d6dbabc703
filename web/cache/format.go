package cache

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"starling/web/h1"
)

// A cache file has a head and the body as it is sent. The head, little-endian:
//
//	 0  magic, with the version                            8 bytes
//	 8  CRC-32C of the bytes from 64 to the end of the head 4
//	12  length of the head                                  4
//	16  freshness: valid, updating, error, date             4 × 8, rewritten in place after a revalidation
//	48  CRC-32C of the freshness                            4
//	52  reserved                                            12
//	64  length of the body                                  8
//	72  CRC-32C of the body                                 4
//	76  status                                              4
//	80  created, in milliseconds                            8
//	88  Last-Modified, -1 without                           8
//	96  Content-Length of the response, -1 without          8
//	104 variant, zero without Vary                          16
//	120 lengths of key, Vary, ETag, reason, content type    5 × 4
//	140 number of header fields                             4
//	144 these five texts, then for each field the lengths of name and value (4 + 4) and both
//
// Everything is written before the file gets its name, so a file with a name is whole; the lengths and checksums find
// those that a crash of the machine, another program or a disk has damaged.
const (
	magic          = "starlc\x00\x01"
	fixedBytes     = 144
	freshnessAt    = 16
	freshnessBytes = 32
	checkedFrom    = 64
)

// maxHeadBytes bounds the head of a file: a response head is at most PREFIX_buffer_size, a key as long as a request
// target and a few variables. It bounds what a damaged or foreign file can make the reader allocate.
const maxHeadBytes = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Meta is a stored response without its body.
type Meta struct {
	Freshness
	DateS         int64 // when it was received or last revalidated
	CreatedMS     int64 // when its request began
	Status        int
	LastModified  int64 // in seconds, -1 without
	ContentLength int64 // as the server sent it, -1 without
	Key           []byte
	Vary          []byte
	ETag          []byte // that of a 200 or 206
	Reason        []byte
	ContentType   []byte
	Headers       h1.Headers
	Seen          h1.KnownSet

	variant   Key
	bodyBytes int64
	bodySum   uint32
	headBytes int
	headSum   uint32
}

// headSum is the checksum in the first bytes of a file.
func headSum(start []byte) uint32 { return binary.LittleEndian.Uint32(start[8:]) }

// appendHead encodes the head of a file.
func (m *Meta) appendHead(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, fixedBytes)...)
	le := binary.LittleEndian
	for _, text := range [...][]byte{m.Key, m.Vary, m.ETag, m.Reason, m.ContentType} {
		dst = append(dst, text...)
	}
	for i := range m.Headers {
		h := &m.Headers[i]
		dst = le.AppendUint32(dst, uint32(len(h.Name)))
		dst = le.AppendUint32(dst, uint32(len(h.Value)))
		dst = append(append(dst, h.Name...), h.Value...)
	}
	head := dst[start:]
	copy(head, magic)
	le.PutUint32(head[12:], uint32(len(head)))
	m.putFreshness(head[freshnessAt:])
	le.PutUint64(head[64:], uint64(m.bodyBytes))
	le.PutUint32(head[72:], m.bodySum)
	le.PutUint32(head[76:], uint32(m.Status))
	le.PutUint64(head[80:], uint64(m.CreatedMS))
	le.PutUint64(head[88:], uint64(m.LastModified))
	le.PutUint64(head[96:], uint64(m.ContentLength))
	copy(head[104:], m.variant[:])
	for i, text := range [...][]byte{m.Key, m.Vary, m.ETag, m.Reason, m.ContentType} {
		le.PutUint32(head[120+4*i:], uint32(len(text)))
	}
	le.PutUint32(head[140:], uint32(len(m.Headers)))
	le.PutUint32(head[8:], crc32.Checksum(head[checkedFrom:], castagnoli))
	return dst
}

// putFreshness encodes the freshness and its checksum.
func (m *Meta) putFreshness(dst []byte) {
	le := binary.LittleEndian
	for i, n := range [...]int64{m.Valid, m.Updating, m.Error, m.DateS} {
		le.PutUint64(dst[8*i:], uint64(n))
	}
	le.PutUint32(dst[freshnessBytes:], crc32.Checksum(dst[:freshnessBytes], castagnoli))
}

// Reasons why a file is not one of ours.
var (
	errForeign  = errors.New("is not a cache file of this version")
	errShort    = errors.New("is too short")
	errDamaged  = errors.New("has a wrong checksum")
	errChanged  = errors.New("was changed by another program")
	errMisnamed = errors.New("has the response of another key")
	errTornTime = errors.New("has a wrong checksum of its freshness")
)

// headLength reads the length of the head from the first bytes of a file.
func headLength(start []byte) (int, error) {
	switch {
	case len(start) < fixedBytes:
		return 0, errShort
	case string(start[:len(magic)]) != magic:
		return 0, errForeign
	}
	n := binary.LittleEndian.Uint32(start[12:])
	if n < fixedBytes || n > maxHeadBytes {
		return 0, errDamaged
	}
	return int(n), nil
}

// decode reads a head. The result keeps slices of it. fileBytes is the size of the whole file.
func (m *Meta) decode(head []byte, fileBytes int64) error {
	n, err := headLength(head)
	switch {
	case err != nil:
		return err
	case len(head) != n:
		return errShort
	}
	le := binary.LittleEndian
	m.headSum = headSum(head)
	if m.headSum != crc32.Checksum(head[checkedFrom:], castagnoli) {
		return errDamaged
	}
	fresh := head[freshnessAt:]
	if le.Uint32(fresh[freshnessBytes:]) != crc32.Checksum(fresh[:freshnessBytes], castagnoli) {
		return errTornTime
	}
	at := func(i int) int64 { return int64(le.Uint64(head[i:])) }
	m.Freshness = Freshness{at(16), at(24), at(32)}
	m.DateS = at(40)
	m.bodyBytes, m.bodySum = at(64), le.Uint32(head[72:])
	m.Status, m.CreatedMS, m.LastModified, m.ContentLength = int(le.Uint32(head[76:])), at(80), at(88), at(96)
	copy(m.variant[:], head[104:])
	m.headBytes = n
	if m.bodyBytes < 0 || m.bodyBytes > fileBytes || fileBytes != int64(n)+m.bodyBytes {
		return errShort
	}
	return m.decodeTexts(head)
}

// decodeTexts reads the part of variable length.
func (m *Meta) decodeTexts(head []byte) error {
	le, rest := binary.LittleEndian, head[fixedBytes:]
	take := func(n uint32) []byte {
		if uint64(n) > uint64(len(rest)) {
			rest = nil
			return nil
		}
		text := rest[:n:n]
		rest = rest[n:]
		return text
	}
	lengths := uint64(0)
	for i, text := range [...]*[]byte{&m.Key, &m.Vary, &m.ETag, &m.Reason, &m.ContentType} {
		n := le.Uint32(head[120+4*i:])
		lengths += uint64(n)
		*text = take(n)
	}
	fields := le.Uint32(head[140:])
	if lengths > uint64(len(head)-fixedBytes) || uint64(fields)*8 > uint64(len(rest)) {
		return errDamaged
	}
	m.Headers = make(h1.Headers, 0, fields)
	for range fields {
		if len(rest) < 8 {
			return errDamaged
		}
		name, value := le.Uint32(rest), le.Uint32(rest[4:])
		rest = rest[8:]
		if uint64(name)+uint64(value) > uint64(len(rest)) {
			return errDamaged
		}
		h := h1.Header{Name: take(name)}
		h.Value, h.ID = take(value), h1.Identify(h.Name)
		m.Headers, m.Seen = append(m.Headers, h), m.Seen.With(h.ID)
	}
	if len(rest) > 0 {
		return errDamaged
	}
	return nil
}
