package errno

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTextIsTheLibrarysOfC(t *testing.T) {
	for number, want := range map[syscall.Errno]string{
		syscall.EPERM:         "Operation not permitted",
		syscall.ENOENT:        "No such file or directory",
		syscall.EACCES:        "Permission denied",
		syscall.EMFILE:        "Too many open files",
		syscall.ENOSPC:        "No space left on device",
		syscall.EPIPE:         "Broken pipe",
		syscall.EADDRINUSE:    "Address already in use",
		syscall.EADDRNOTAVAIL: "Cannot assign requested address",
		syscall.ENETUNREACH:   "Network is unreachable",
		syscall.ECONNRESET:    "Connection reset by peer",
		syscall.ETIMEDOUT:     "Connection timed out",
		syscall.ECONNREFUSED:  "Connection refused",
		syscall.EHOSTUNREACH:  "No route to host",
		syscall.EL2NSYNC:      "Level 2 not synchronized",
	} {
		if got := Text(number); got != want {
			t.Errorf("%d is %q, want %q", int(number), got, want)
		}
	}
}

func TestReason(t *testing.T) {
	_, missing := os.Open(filepath.Join(t.TempDir(), "missing"))
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.ECONNRESET, "104: Connection reset by peer"},
		{fmt.Errorf("reading: %w", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), "104: Connection reset by peer"},
		{missing, "2: No such file or directory"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, "2: No such file or directory"},
		{fs.ErrPermission, "13: Permission denied"},
		{io.ErrUnexpectedEOF, "unexpected EOF"},
	} {
		if got := Reason(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestCallKeepsTheError(t *testing.T) {
	err := Call("open", "/x", &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES})
	if got, want := err.Error(), "open() \"/x\" failed (13: Permission denied)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("the error is lost")
	}
}

func TestMessagesHaveNginxsWordsWhateverIsAroundThem(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}
	read := &net.OpError{Op: "read", Net: "tcp", Addr: peer, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	write := &net.OpError{Op: "write", Net: "tcp", Addr: peer, Err: os.NewSyscallError("writev", syscall.EPIPE)}
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: peer, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, c := range []struct {
		err  error
		want string
	}{
		{read, "recv() failed (104: Connection reset by peer)"},
		{fmt.Errorf("greeting: %w", read), "greeting: recv() failed (104: Connection reset by peer)"},
		{errors.Join(read, write), "recv() failed (104: Connection reset by peer)\nsend() failed (32: Broken pipe)"},
		{dial, "connect() to 10.0.0.1:80 failed (111: Connection refused)"},
		{&net.OpError{Op: "listen", Net: "tcp", Addr: peer, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)},
			"bind() to 10.0.0.1:80 failed (98: Address already in use)"},
		{os.NewSyscallError("accept4", syscall.EMFILE), "accept() failed (24: Too many open files)"},
		{syscall.ENOSPC, "28: No space left on device"},
		{fmt.Errorf("send() failed (%w)", syscall.EPIPE), "send() failed (32: Broken pipe)"},
		{&fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, "open() \"/x\" failed (13: Permission denied)"},
		{fmt.Errorf("zone: %w", &os.LinkError{Op: "rename", Old: "/a", New: "/b", Err: syscall.EXDEV}),
			"zone: rename() \"/a\" to \"/b\" failed (18: Invalid cross-device link)"},
		{fmt.Errorf("again: %w", Call("open", "/x", syscall.EACCES)), "again: open() \"/x\" failed (13: Permission denied)"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: peer, Err: os.ErrDeadlineExceeded}, "read tcp 10.0.0.1:80: i/o timeout"},
		{io.EOF, "EOF"},
		{errors.New("permission denied"), "permission denied"}, // no system call
	} {
		if got := Message(c.err); got != c.want {
			t.Errorf("%v:\ngot  %q\nwant %q", c.err, got, c.want)
		}
	}
}

func TestWordedKeepsTheError(t *testing.T) {
	if err := Worded(os.NewSyscallError("read", syscall.ECONNRESET)); err.Error() != "recv() failed (104: Connection reset by peer)" ||
		!errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if err := Worded(io.EOF); err != io.EOF {
		t.Error(err)
	}
}

func TestArgsLeavesTheCallersAlone(t *testing.T) {
	args := []any{1, syscall.EPIPE, io.EOF, nil}
	if got, want := fmt.Sprint(Args(args)...), fmt.Sprint(1, "32: Broken pipe", io.EOF, nil); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if args[1] != any(syscall.EPIPE) {
		t.Error("the caller's arguments were changed")
	}
	plain := []any{1, io.EOF}
	if &Args(plain)[0] != &plain[0] {
		t.Error("arguments without a system call were copied")
	}
}
