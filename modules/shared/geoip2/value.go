package geoip2

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"starling/logs"
)

// maxValueBytes bounds what a damaged database can put into a request.
const maxValueBytes = 1 << 16

// query finds one value of a record. It is what the library decodes a record into.
type query struct {
	path  []string
	dst   []byte
	found bool
}

var queries = sync.Pool{New: func() any { return new(query) }}

// appendValue appends the value of an address at a path. found is false if there is none; a damaged database has none,
// which is logged once.
func (c *contents) appendValue(
	dst []byte, addr netip.Addr, path []string, log logs.Logger, file string,
) (_ []byte, found bool) {
	if !addr.IsValid() || addr.Is6() && c.reader.Metadata.IPVersion == 4 {
		return dst, false
	}
	q := queries.Get().(*query)
	*q = query{path: path, dst: dst}
	err := c.reader.Lookup(addr).Decode(q)
	found, full := q.found, q.dst
	*q = query{}
	queries.Put(q)
	if err != nil {
		if !c.damaged.Swap(true) {
			log.Logf(logs.Error, "database \"%s\" is damaged: %v", file, err)
		}
		return dst, false
	}
	if !found {
		return dst, false
	}
	return full, true
}

// UnmarshalMaxMindDB reads a record.
func (q *query) UnmarshalMaxMindDB(d *mmdbdata.Decoder) error { return q.walk(d, q.path) }

// walk is MMDB_aget_value: a word of the path is a key of a map, or the number of an entry of an array, negative from
// its end.
func (q *query) walk(d *mmdbdata.Decoder, path []string) error {
	kind, err := d.PeekKind()
	if err != nil {
		return err
	}
	if len(path) == 0 {
		return q.value(d, kind)
	}
	switch kind {
	case mmdbdata.KindMap:
		pairs, _, err := d.ReadMap()
		if err != nil {
			return err
		}
		for key, err := range pairs {
			if err != nil {
				return err
			}
			if string(key) == path[0] {
				return q.walk(d, path[1:])
			}
		}
	case mmdbdata.KindSlice:
		entries, n, err := d.ReadSlice()
		if err != nil {
			return err
		}
		wanted, notNumber := strconv.Atoi(path[0])
		if notNumber != nil {
			return nil
		}
		if wanted < 0 {
			wanted += int(n)
		}
		at := 0
		for err := range entries {
			if err != nil {
				return err
			}
			if at == wanted {
				return q.walk(d, path[1:])
			}
			at++
		}
	}
	return nil
}

// value appends a value as the module for nginx prints it. Maps and arrays have no value.
func (q *query) value(d *mmdbdata.Decoder, kind mmdbdata.Kind) (err error) {
	start := len(q.dst)
	q.found = true
	switch kind {
	case mmdbdata.KindBool:
		var b bool
		if b, err = d.ReadBool(); b {
			q.dst = append(q.dst, '1')
		} else {
			q.dst = append(q.dst, '0')
		}
	case mmdbdata.KindString:
		var s string
		s, err = d.ReadString()
		q.dst = append(q.dst, s...)
	case mmdbdata.KindBytes:
		var b []byte
		b, err = d.ReadBytes()
		q.dst = append(q.dst, b...)
	case mmdbdata.KindFloat32:
		var f float32
		f, err = d.ReadFloat32()
		q.dst = strconv.AppendFloat(q.dst, float64(f), 'f', 5, 64)
	case mmdbdata.KindFloat64:
		var f float64
		f, err = d.ReadFloat64()
		q.dst = strconv.AppendFloat(q.dst, f, 'f', 5, 64)
	default:
		err = q.integer(d, kind)
	}
	if err == nil && len(q.dst)-start > maxValueBytes {
		err = fmt.Errorf("a value has more than %d bytes", maxValueBytes)
	}
	return err
}

func (q *query) integer(d *mmdbdata.Decoder, kind mmdbdata.Kind) (err error) {
	switch kind {
	case mmdbdata.KindUint16:
		var n uint16
		n, err = d.ReadUint16()
		q.dst = strconv.AppendUint(q.dst, uint64(n), 10)
	case mmdbdata.KindUint32:
		var n uint32
		n, err = d.ReadUint32()
		q.dst = strconv.AppendUint(q.dst, uint64(n), 10)
	case mmdbdata.KindInt32:
		var n int32
		n, err = d.ReadInt32()
		q.dst = strconv.AppendInt(q.dst, int64(n), 10)
	case mmdbdata.KindUint64:
		var n uint64
		n, err = d.ReadUint64()
		q.dst = strconv.AppendUint(q.dst, n, 10)
	case mmdbdata.KindUint128:
		var high, low uint64
		high, low, err = d.ReadUint128()
		q.dst = fmt.Appendf(q.dst, "0x%016x%016x", high, low)
	default:
		q.found = false
	}
	return err
}
