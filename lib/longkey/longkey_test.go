package longkey

import (
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	for _, n := range []int{0, 1, 32, 254, 255} {
		if key := strings.Repeat("k", n); string(Fit([]byte(key), 255)) != key {
			t.Errorf("a key of %d bytes was changed", n)
		}
	}
	long := []byte(strings.Repeat("k", 256))
	seen := map[string]bool{}
	for range 2 {
		seen[string(Fit(long, 255))] = true
	}
	if len(seen) != 1 {
		t.Error("the same key twice became two")
	}
	for i := range long { // all of it counts
		other := append([]byte(nil), long...)
		other[i] = 'x'
		seen[string(Fit(other, 255))] = true
	}
	seen[string(Fit(append(long, 'k'), 255))] = true
	if len(seen) != 1+len(long)+1 {
		t.Errorf("%d keys became %d", 1+len(long)+1, len(seen))
	}
	for key := range seen {
		if len(key) > 255 {
			t.Errorf("%d bytes are left", len(key))
		}
	}
	key := []byte("short")
	if n := testing.AllocsPerRun(100, func() { Fit(key, 255) }); n > 0 {
		t.Errorf("%v allocations for a key that fits", n)
	}
}
