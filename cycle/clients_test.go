package cycle_test

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestClientsWaitUntilTheyAreAdmitted: they are connected by then, and are served once the process has given up its
// rights.
func TestClientsWaitUntilTheyAreAdmitted(t *testing.T) {
	h := newHost(t)
	admit := h.Hold()
	a := address(t)
	h.run("stream { server { listen " + a + "; return served; } }")
	conn := dial(t, a)
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !err.(net.Error).Timeout() {
		t.Errorf("served before it was admitted: %d %v", n, err)
	}
	admit()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "served" {
		t.Errorf("%q %v", got, err)
	}
	h.Stop()
}

// TestStoppingDoesNotWaitForClientsThatAreHeld.
func TestStoppingDoesNotWaitForClientsThatAreHeld(t *testing.T) {
	h := newHost(t)
	h.Hold()
	h.run("stream { server { listen " + address(t) + "; return x; } }")
	h.Stop()
}
