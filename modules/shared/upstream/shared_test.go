package upstream

import (
	"fmt"
	"testing"
)

// TestManyMarksTakeLittleMemory: beyond a bound, all pairs are looked at instead.
func TestManyMarksTakeLittleMemory(t *testing.T) {
	m := new(marks)
	for range 2 {
		for i := range maxMarks {
			m.mark(fmt.Append(nil, i))
		}
		m.mark([]byte("0"))
		if keys, all := m.take(); len(keys) != 0 || !all {
			t.Errorf("%d keys, all %v", len(keys), all)
		}
		m.mark([]byte("a"))
		m.mark([]byte("a"))
		if keys, all := m.take(); len(keys) != 1 || all {
			t.Errorf("%d keys, all %v", len(keys), all)
		}
	}
}
