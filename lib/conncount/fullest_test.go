package conncount

import (
	"fmt"
	"slices"
	"testing"
)

func TestFullest(t *testing.T) {
	z := New(1 << 20)
	for i := range 200 {
		for range i % 10 { // key9, key19, … have nine
			if _, verdict := z.Enter(fmt.Appendf(nil, "key%d", i), 100); verdict != Entered {
				t.Fatal(verdict)
			}
		}
	}
	gone, _ := z.Enter([]byte("gone"), 100)
	z.Leave(gone)
	got := z.Fullest(25)
	if len(got) != 25 {
		t.Fatalf("%d keys", len(got))
	}
	if !slices.IsSortedFunc(got, Held.before) || got[0].Count != 9 || got[19].Count != 9 || got[20].Count != 8 || string(got[0].Key) != "key109" {
		t.Errorf("got %v", got)
	}
	if all := z.Fullest(1000); len(all) != 180 {
		t.Errorf("%d keys have a count, want 180", len(all))
	}
	if m := z.Memory(); m.Keys != 180 || m.UsedBytes != 180*64 || m.Refused != 0 {
		t.Errorf("the memory is %+v", m)
	}
	small := New(0)
	for i := range 100 {
		small.Enter(fmt.Appendf(nil, "key%d", i), 1)
	}
	if m := small.Memory(); m.Keys+int64(m.Refused) != 100 || m.Refused == 0 {
		t.Errorf("the memory of a full zone is %+v", m)
	}
}
