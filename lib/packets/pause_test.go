package packets

import (
	"net"
	"testing"
	"time"
)

// Datagrams stay in the socket while the listener is paused; sessions that are there can still send.
func TestAPausedListenerLeavesDatagramsAlone(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	early := client(t, l.Addr().String())
	send(t, early, "one")
	session, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, session); got != "one" {
		t.Errorf("%q", got)
	}
	if err := l.Pause(); err != nil {
		t.Fatal(err)
	}
	send(t, early, "two")
	twin := twinOf(t, l)
	if got := readFrom(t, twin); got != "two" {
		t.Errorf("%q", got)
	}
	if _, err := session.Write([]byte("answer")); err != nil {
		t.Error(err)
	}
	if got := read(t, early); got != "answer" {
		t.Errorf("%q", got)
	}
	send(t, early, "three")
	if err := l.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, session); got != "three" {
		t.Errorf("%q", got)
	}
	if err := l.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // a paused listener closes
		t.Error(err)
	}
}

// twinOf is the same socket in another process.
func twinOf(t *testing.T, l *Listener) net.PacketConn {
	t.Helper()
	file, err := l.socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	twin, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { twin.Close() })
	if err := twin.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return twin
}

func readFrom(t *testing.T, c net.PacketConn) string {
	t.Helper()
	buf := make([]byte, 100)
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// A read that is under way when the listener pauses does not take a datagram that comes after Pause has returned.
func TestAReadUnderWayIsOverWhenPauseReturns(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	c, twin := client(t, l.Addr().String()), twinOf(t, l)
	send(t, c, "first")
	session, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		read(t, session) // the listener reads on
		if err := l.Pause(); err != nil {
			t.Fatal(err)
		}
		send(t, c, "paused")
		if got := readFrom(t, twin); got != "paused" {
			t.Fatalf("pause %d: %q", n, got)
		}
		if err := l.Resume(); err != nil {
			t.Fatal(err)
		}
		send(t, c, "resumed")
	}
}

// Pause returns also if the listener is closed meanwhile.
func TestPauseOfAClosedListener(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Pause(); err == nil {
		t.Error("a closed listener is paused")
	}
}
