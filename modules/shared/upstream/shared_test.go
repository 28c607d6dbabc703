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

// TestThePreviousConfigurationTakesNoMarks: a goroutine of it that comes late would follow with its own groups, and the
// running one would never learn of the change.
func TestThePreviousConfigurationTakesNoMarks(t *testing.T) {
	m := new(marks)
	one, two := &sharedZone{marks: m, wake: make(chan struct{}, 1)}, &sharedZone{marks: m, wake: make(chan struct{}, 1)}
	m.entrust(one)
	if before := m.entrust(two); before != one {
		t.Errorf("the follower was %p, want %p", before, one)
	}
	m.mark([]byte("u a:1"))
	one.followMarks(true)
	if keys, _ := m.take(); len(keys) != 1 {
		t.Errorf("%d marks are left", len(keys))
	}
	m.mark([]byte("u a:1"))
	two.followMarks(true) // it has no upstream of that name
	if keys, _ := m.take(); len(keys) != 0 {
		t.Errorf("the running configuration leaves %d marks", len(keys))
	}
}
