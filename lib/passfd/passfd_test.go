package passfd

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// pair is both ends in one process.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Open(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMessagesAndSocketsArriveInOrder(t *testing.T) {
	a, b := pair(t)
	long := strings.Repeat("x", MaxMessageBytes)
	ours := make(chan net.Conn, 1)
	go func() {
		if err := a.Send([]byte("one")); err != nil {
			t.Error(err)
		}
		conn, err := a.Dial([]byte("connect"))
		if err != nil {
			t.Error(err)
		}
		ours <- conn
		if err := a.Send([]byte(long)); err != nil {
			t.Error(err)
		}
		a.Close()
	}()
	for _, want := range []string{"one", "connect", long} {
		message, socket, err := b.Receive()
		if err != nil || string(message) != want {
			t.Fatalf("%d bytes, %v, want %d", len(message), err, len(want))
		}
		if (socket != nil) != (want == "connect") {
			t.Fatalf("with %.10q came the socket %v", want, socket)
		}
		if socket != nil {
			speak(t, <-ours, socket)
		}
	}
	if _, _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// speak sends over the two ends of a connection.
func speak(t *testing.T, a, b net.Conn) {
	t.Helper()
	defer b.Close()
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if got, err := io.ReadAll(b); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLongMessagesAreRefused(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(make([]byte, MaxMessageBytes+1)); err == nil {
		t.Error("a message that is too long was sent")
	}
	if _, err := a.socket.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Receive(); err == nil {
		t.Error("a message that is too long was received")
	}
}
