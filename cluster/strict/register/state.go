package register

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

const (
	// namesMost bounds the names: one of each strict zone that the cluster ever had.
	namesMost = 64
	nameMost  = 255
	// dataMost bounds a value: a view of 64 members has less than 2 KB.
	dataMost = 2048
)

// state is what the group has decided: the latest value of each name. All members apply the same log to it.
type state struct {
	values map[string]Value
	voters *raftpb.ConfState
}

func newState() state { return state{values: map[string]Value{}, voters: new(raftpb.ConfState)} }

// accept takes the next value of a name.
func (s *state) accept(v Value) bool {
	old, known := s.values[v.Name]
	if v.Number != old.Number+1 || !known && len(s.values) >= namesMost {
		return false
	}
	s.values[v.Name] = v
	return true
}

// newerThan returns the values that another state lacks, by name.
func (s *state) newerThan(old state) (values []Value) {
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		if v := s.values[name]; v.Number > old.values[name].Number {
			values = append(values, v)
		}
	}
	return values
}

func (v *Value) check() error {
	switch {
	case v.Name == "" || len(v.Name) > nameMost:
		return fmt.Errorf("a name in the register has 1 to %d bytes, not %d", nameMost, len(v.Name))
	case v.Number == 0 || len(v.Data) > dataMost:
		return fmt.Errorf("value %d of %q has %d bytes; at most %d are allowed", v.Number, v.Name, len(v.Data),
			dataMost)
	}
	return nil
}

func (v *Value) append(dst []byte) []byte {
	dst = appendBytes(dst, []byte(v.Name))
	dst = binary.AppendUvarint(dst, v.Number)
	return appendBytes(dst, v.Data)
}

func parseValue(body []byte) (Value, error) {
	v, rest, err := cutValue(body)
	if err == nil && len(rest) > 0 {
		err = errTruncated
	}
	return v, err
}

var errTruncated = errors.New("the register's data is truncated")

func cutValue(body []byte) (v Value, rest []byte, err error) {
	name, rest, ok := cutBytes(body)
	if !ok {
		return v, nil, errTruncated
	}
	number, n := binary.Uvarint(rest)
	if n <= 0 {
		return v, nil, errTruncated
	}
	data, rest, ok := cutBytes(rest[n:])
	if !ok {
		return v, nil, errTruncated
	}
	v = Value{Name: string(name), Number: number, Data: slices.Clone(data)}
	return v, rest, v.check()
}

// append appends the values, for a snapshot; the library keeps the voters.
func (s *state) append(dst []byte) []byte {
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		v := s.values[name]
		dst = v.append(dst)
	}
	return dst
}

func parseState(data []byte) (s state, err error) {
	s = newState()
	for len(data) > 0 {
		var v Value
		if v, data, err = cutValue(data); err != nil {
			return s, err
		}
		if s.values[v.Name] = v; len(s.values) > namesMost {
			return s, fmt.Errorf("the register has more than %d names", namesMost)
		}
	}
	return s, nil
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func cutBytes(body []byte) (b, rest []byte, ok bool) {
	size, n := binary.Uvarint(body)
	if n <= 0 || size > uint64(len(body)-n) {
		return nil, nil, false
	}
	return body[n : n+int(size)], body[n+int(size):], true
}
