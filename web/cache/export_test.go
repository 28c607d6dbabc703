package cache

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"

	"starling/web/h1"
)

// SameVariant compares two requests.
func SameVariant(vary string, a, b h1.Headers) bool {
	return bytes.Equal(appendVariant(nil, []byte(vary), a), appendVariant(nil, []byte(vary), b))
}

// Decode reads the head of a file.
func Decode(head []byte, fileBytes int64) (*Meta, error) {
	n, err := headLength(head)
	if err != nil {
		return nil, err
	}
	var m Meta
	return &m, m.decode(head[:min(n, len(head))], fileBytes)
}

// BodyBytes and HeadBytes are the lengths in a head.
func (m *Meta) BodyBytes() int64 { return m.bodyBytes }

func (m *Meta) HeadBytes() int { return m.headBytes }

// Encode makes the head of a file.
func Encode(m *Meta, bodyBytes int64) []byte {
	m.bodyBytes = bodyBytes
	return m.appendHead(nil)
}

// KeepPurge is the last step of a purge: it goes to the file.
func (c *Cache) KeepPurge(key string) error {
	one := purge{atMS: c.clock.Now().WallMS, untilS: c.purgeUntilS(c.clock.Now())}
	return c.purges.append(one.record(md5.Sum([]byte(key))))()
}

// Reseal makes the checksums of a changed head right, so that what they protect is read.
func Reseal(head []byte) {
	if len(head) < fixedBytes {
		return
	}
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[12:], uint32(len(head)))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(head[checkedFrom:], castagnoli))
	fresh := head[freshnessAt:]
	binary.LittleEndian.PutUint32(fresh[freshnessBytes:], crc32.Checksum(fresh[:freshnessBytes], castagnoli))
}
