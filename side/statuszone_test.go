package side

import (
	"fmt"
	"testing"

	"starling/logs"
)

// TestFurtherValuesTakeNoLock: once there are as many zones as can be, requests do not meet at a lock, whatever values
// their clients send.
func TestFurtherValuesTakeNoLock(t *testing.T) {
	var zones StatusZones[int]
	zones.AllowValues(nil)
	zones.Start(logs.Discard, func() *int { return new(int) })
	for i := range maxValues + 1 {
		zones.OfValue(fmt.Append(nil, i))
	}
	zones.values.mu.Lock()
	defer zones.values.mu.Unlock()
	value := []byte("another")
	if n := testing.AllocsPerRun(100, func() {
		if zones.OfValue(value) != (*zones.values.byName.Load())[OtherValues] {
			t.Fatal("a further value has a zone of its own")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
