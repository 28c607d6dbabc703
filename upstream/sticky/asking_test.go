package sticky_test

import (
	"net/netip"
	"strings"
	"testing"

	"starling/upstream/sticky"
)

func TestWhichIDsAreAskedFor(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "abc-123_~!": true, strings.Repeat("x", sticky.MaxIDBytes): true,
		"": false, "a b": false, "a\n": false, "é": false, "\x7f": false, strings.Repeat("x", sticky.MaxIDBytes+1): false,
	} {
		if got := sticky.Asks([]byte(id)); got != want {
			t.Errorf("%.20q is asked for: %v", id, got)
		}
	}
}

// A client can have so many requests that wait for the peers, another one as many. Those of unix sockets do not count.
func TestAClientAsksForFewSessionsAtATime(t *testing.T) {
	var a sticky.Asking
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for range sticky.MaxAsksPerClient {
		if !a.Begin(one) {
			t.Fatal("a client is refused too early")
		}
	}
	if a.Begin(one) {
		t.Error("a client asks without end")
	}
	if !a.Begin(other) {
		t.Error("one client keeps another one from asking")
	}
	a.Done(one)
	if !a.Begin(one) || a.Begin(one) {
		t.Error("an answer does not free exactly one place")
	}
	for range 10 * sticky.MaxAsksPerClient {
		if !a.Begin(netip.Addr{}) {
			t.Fatal("clients of unix sockets are limited together")
		}
	}
}
