package door

import (
	"slices"
	"testing"
)

// TestTheOldestGivesWay: in a door for three the oldest who still waits is pushed by the fourth.
func TestTheOldestGivesWay(t *testing.T) {
	var d Door
	var pushed []int
	enter := func(i int) func() { return d.Enter(3, func() { pushed = append(pushed, i) }) }
	leaveFirst := enter(1)
	leaveSecond := enter(2)
	enter(3)
	enter(4)
	leaveFirst() // it had to go already
	leaveSecond()
	leaveSecond()
	enter(5)
	if !slices.Equal(pushed, []int{1}) {
		t.Errorf("pushed %v, want the first only", pushed)
	}
	enter(6)
	if !slices.Equal(pushed, []int{1, 3}) {
		t.Errorf("pushed %v, want the third after the first", pushed)
	}
}
