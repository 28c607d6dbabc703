//go:build unix

package sockio_test

import (
	"bytes"
	"syscall"
	"testing"

	"starling/lib/sockio"
)

// pair is two sockets that are connected and do not block.
func pair(t *testing.T) (a, b uintptr) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
	}
	return uintptr(fds[0]), uintptr(fds[1])
}

func TestStream(t *testing.T) {
	a, b := pair(t)
	p := make([]byte, 100)
	if n, err := sockio.Recv(b, p); n != 0 || err != syscall.EAGAIN {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	if n, err := sockio.Send(a, []byte("hello")); n != 5 || err != 0 {
		t.Errorf("sent %d, %v", n, err)
	}
	if n, err := sockio.Recv(b, p[:2]); n != 2 || err != 0 || string(p[:2]) != "he" {
		t.Errorf("read %q, %d, %v", p[:2], n, err)
	}
	if n, err := sockio.Recv(b, p); n != 3 || err != 0 || string(p[:3]) != "llo" {
		t.Errorf("read %q, %d, %v", p[:3], n, err)
	}
	if err := syscall.Shutdown(int(a), syscall.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if n, err := sockio.Recv(b, p); n != 0 || err != 0 {
		t.Errorf("the end: %d, %v", n, err)
	}
}

// TestFull: what does not fit is left to the caller, and nothing is lost or said twice.
func TestFull(t *testing.T) {
	a, b := pair(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	sent := 0
	for sent < len(big) {
		n, err := sockio.Send(a, big[sent:])
		if err == syscall.EAGAIN {
			break
		}
		if err != 0 {
			t.Fatal(err)
		}
		sent += n
	}
	if sent == 0 || sent == len(big) {
		t.Fatalf("%d of %d bytes fitted", sent, len(big))
	}
	got, p := []byte(nil), make([]byte, 64<<10)
	for len(got) < sent {
		n, err := sockio.Recv(b, p)
		if err != 0 {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, big[:sent]) {
		t.Error("what came is not what was sent")
	}
}

// TestGone: a socket whose other side is closed fails.
func TestGone(t *testing.T) {
	a, b := pair(t)
	if err := syscall.Shutdown(int(b), syscall.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if n, err := sockio.Send(a, []byte("x")); n != 0 || err != syscall.EPIPE {
		t.Errorf("sent %d, %v", n, err)
	}
}
