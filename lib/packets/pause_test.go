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
	// Another process would read it from the same socket.
	file, err := l.socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	twin, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	if err := twin.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, _, err := twin.ReadFrom(buf); err != nil || string(buf[:n]) != "two" {
		t.Errorf("%q, %v", buf[:n], err)
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
