// Package geoip2test writes small databases in MaxMind's format, for tests.
package geoip2test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
)

// BuiltS is the build_epoch of each database.
const BuiltS = 1_700_000_000

// Array and Uint128 are values that no type of Go stands for.
type (
	Array   []any
	Uint128 [16]byte
)

// Database returns a database with a record for each network. Records are maps of strings to maps, Array, string,
// []byte, bool, float32, float64, int32, uint16, uint32, uint64 and Uint128.
func Database(records map[string]map[string]any) []byte {
	w := writer{tree: [][2]int{{}}, version: 6}
	return w.database(records)
}

// DatabaseIPv4 is Database without a tree for IPv6.
func DatabaseIPv4(records map[string]map[string]any) []byte {
	w := writer{tree: [][2]int{{}}, version: 4}
	return w.database(records)
}

// writer has the tree of bits: 0 for no record, a positive number for a node, a negative one for -1 - the offset of
// data.
type writer struct {
	tree    [][2]int
	data    []byte
	version uint16
}

func (w *writer) database(records map[string]map[string]any) []byte {
	for _, network := range slices.Sorted(maps.Keys(records)) {
		prefix := netip.MustParsePrefix(network)
		offset := len(w.data)
		w.data = encode(w.data, records[network])
		w.insert(prefix, -1-offset)
	}
	var file []byte
	for _, node := range w.tree {
		for _, to := range node {
			record := len(w.tree) // no record
			if to > 0 {
				record = to
			} else if to < 0 {
				record = len(w.tree) + 16 - 1 - to
			}
			file = append(file, byte(record>>16), byte(record>>8), byte(record))
		}
	}
	file = append(append(file, make([]byte, 16)...), w.data...)
	file = append(file, "\xab\xcd\xefMaxMind.com"...)
	return encode(file, map[string]any{
		"node_count": uint32(len(w.tree)), "record_size": uint16(24), "ip_version": w.version,
		"database_type": "Test", "languages": Array{"en"}, "description": map[string]any{"en": "for tests"},
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0),
		"build_epoch": uint64(BuiltS),
	})
}

func (w *writer) insert(p netip.Prefix, value int) {
	bits, address := p.Bits(), p.Addr().AsSlice()
	if w.version == 6 && p.Addr().Is4() {
		bits, address = bits+96, append(make([]byte, 12), address...)
	}
	node := 0
	for i := range bits {
		side := address[i/8] >> (7 - i%8) & 1
		if i == bits-1 {
			w.tree[node][side] = value
			return
		}
		if w.tree[node][side] <= 0 {
			w.tree = append(w.tree, [2]int{})
			w.tree[node][side] = len(w.tree) - 1
		}
		node = w.tree[node][side]
	}
}

// The types of the format.
const (
	typeString, typeDouble, typeBytes, typeUint16, typeUint32, typeMap = 2, 3, 4, 5, 6, 7
	typeInt32, typeUint64, typeUint128, typeArray, typeBool, typeFloat = 8, 9, 10, 11, 14, 15
)

func head(dst []byte, kind, size int) []byte {
	first, extended := byte(kind<<5), kind > 7
	if extended {
		first = 0
	}
	if size < 29 {
		dst = append(dst, first|byte(size))
	} else {
		dst = append(dst, first|29)
	}
	if extended {
		dst = append(dst, byte(kind-7))
	}
	if size >= 29 {
		dst = append(dst, byte(size-29)) // sizes up to 284 are enough
	}
	return dst
}

func encode(dst []byte, value any) []byte {
	switch v := value.(type) {
	case map[string]any:
		dst = head(dst, typeMap, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			dst = encode(encode(dst, key), v[key])
		}
		return dst
	case Array:
		dst = head(dst, typeArray, len(v))
		for _, entry := range v {
			dst = encode(dst, entry)
		}
		return dst
	case string:
		return append(head(dst, typeString, len(v)), v...)
	case []byte:
		return append(head(dst, typeBytes, len(v)), v...)
	case bool:
		if v {
			return head(dst, typeBool, 1)
		}
		return head(dst, typeBool, 0)
	case float32:
		return binary.BigEndian.AppendUint32(head(dst, typeFloat, 4), math.Float32bits(v))
	case float64:
		return binary.BigEndian.AppendUint64(head(dst, typeDouble, 8), math.Float64bits(v))
	case int32:
		return binary.BigEndian.AppendUint32(head(dst, typeInt32, 4), uint32(v))
	case uint16:
		return binary.BigEndian.AppendUint16(head(dst, typeUint16, 2), v)
	case uint32:
		return binary.BigEndian.AppendUint32(head(dst, typeUint32, 4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(head(dst, typeUint64, 8), v)
	case Uint128:
		return append(head(dst, typeUint128, 16), v[:]...)
	}
	panic(fmt.Sprintf("no type of the format stands for %T", value))
}
