package charset

import "testing"

// kept makes a value escape, as a response does with it.
var kept []byte

// TestNameAllocatesNothing: a charset that is no variable costs no allocation per response.
func TestNameAllocatesNothing(t *testing.T) {
	name := charsetName{given: true, text: []byte("utf-8")}
	if n := testing.AllocsPerRun(100, func() { kept = name.value(nil) }); n != 0 || string(kept) != "utf-8" {
		t.Errorf("%v allocations for %q", n, kept)
	}
}
