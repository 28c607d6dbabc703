package kinds

import (
	"encoding/binary"
	"errors"
	"testing"

	"starling/zone"
)

// TestForeignRegisters: what is well formed but comes from no correct peer is refused, with all that is in its payload.
func TestForeignRegisters(t *testing.T) {
	record := func(base, delta int64, counter uint64, value int) []byte {
		p := binary.AppendUvarint([]byte{registerFormat}, uint64(base))
		p = append(binary.AppendUvarint(p, 0), byte(zone.ShardOf(zone.KeyHash([]byte("k")))), 1<<2, 'k')
		p = binary.AppendUvarint(binary.AppendVarint(p, delta), counter)
		p = binary.AppendUvarint(p, uint64(value))
		return append(append(p, make([]byte, value)...), zone.GroupEnd)
	}
	for _, c := range []struct {
		name    string
		payload []byte
		refused bool
	}{
		{"in good order", record(1000, 0, 0, 3), false},
		{"a stamp before time began", record(1000, -1001, 0, 3), true},
		{"a stamp past all honest clocks", record(maxWallMS-1, 1, 0, 3), true},
		{"a base past them", record(maxWallMS+1, -5, 0, 3), true},
		{"a counter of more than 16 bits", record(1000, 0, 1<<16, 3), true},
		{"a value at the limit", record(1000, 0, 0, MaxValueBytes), false},
		{"a value beyond it", record(1000, 0, 0, MaxValueBytes+1), true},
	} {
		z := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 64 << 20, Sync: true})
		if _, err := z.Learn(c.payload, at(2000)); errors.Is(err, zone.ErrMalformed) != c.refused {
			t.Errorf("%s: %v, want refused %v", c.name, err, c.refused)
		}
	}
}
