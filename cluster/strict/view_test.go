package strict

import (
	"fmt"
	"testing"
)

func processes(incarnations ...uint64) (list []Member) {
	for seat, incarnation := range incarnations {
		if incarnation != 0 {
			list = append(list, Member{Seat: Seat(seat), Incarnation: incarnation})
		}
	}
	return list
}

func TestViewsFollowEachOther(t *testing.T) {
	var none View
	first := none.next(processes(1, 1, 1))
	if !first.Founding || first.Number != 1 {
		t.Errorf("the first view: %+v", first)
	}
	second := first.next(processes(1, 0, 1))
	third := second.next(processes(1, 1, 2))
	want := "[{0 1 1} {1 1 3} {2 2 3}]"
	if got := fmt.Sprint(third.Members); got != want || third.Founding {
		t.Errorf("who came back, even without a restart, and who restarted are new: %s founding %v, want %s", got, third.Founding, want)
	}
	if fourth := third.next(processes(2, 3, 3)); !fourth.Founding {
		t.Errorf("nobody is left of the view before: %+v", fourth)
	}
}

// A member that leaves moves its own keys only, and all members own about as many.
func TestOwnersMoveWithTheirNodeOnly(t *testing.T) {
	ids := []uint64{3, 14, 159, 2653, 58979}
	var none View
	all := none.next(processes(1, 1, 1, 1, 1))
	less := all.next(processes(1, 1, 0, 1, 1))
	var owned [5]int
	for i := range 10_000 {
		key := fmt.Sprint("10.0.", i)
		before, _ := all.owner(key, ids)
		after, _ := less.owner(key, ids)
		owned[before]++
		if before != 2 && after != before || after == 2 {
			t.Fatalf("%s moved from %d to %d", key, before, after)
		}
	}
	for seat, n := range owned {
		if n < 1800 || n > 2200 {
			t.Errorf("member %d owns %d of 10,000 keys", seat, n)
		}
	}
	if _, ok := none.owner("key", ids); ok {
		t.Error("a view without members has an owner")
	}
}
