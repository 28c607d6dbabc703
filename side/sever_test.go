package side_test

import (
	"io"
	"net"
	"testing"
	"time"

	"starling/side"
)

// Whoever reads or writes a connection that is severed gets an error, and its client sees the end.
func TestASeveredConnection(t *testing.T) {
	tcp := func() (ours, theirs net.Conn) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		theirs, err = net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if ours, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	for name, pair := range map[string]func() (net.Conn, net.Conn){"tcp": tcp, "pipe": net.Pipe} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair()
			defer theirs.Close()
			if err := theirs.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			read := make(chan error, 1)
			go func() {
				_, err := ours.Read(make([]byte, 1))
				read <- err
			}()
			side.Sever(ours)
			if err := <-read; err == nil {
				t.Error("a read goes on")
			}
			if _, err := ours.Write([]byte("x")); err == nil {
				t.Error("a write goes on")
			}
			if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the client reads %v", err)
			}
			side.Sever(ours) // again does no harm
		})
	}
}
