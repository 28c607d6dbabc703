// Package passfd exchanges messages and sockets between two processes over a pair of unix sockets.
package passfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxMessageBytes bounds a message: the other process may be of another release, and damaged.
const MaxMessageBytes = 1 << 20

// headBytes is the length before each message.
const headBytes = 4

// Conn is one end of a pair.
type Conn struct {
	socket  *net.UnixConn
	sending sync.Mutex
}

// Pair makes a pair: an end for this process, and one to pass to a child.
func Pair() (*Conn, *os.File, error) {
	mine, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	conn, err := Open(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// socketPair makes two connected unix sockets, close-on-exec.
func socketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock() // no process may be started between the two steps
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// Open makes a Conn of an end that was passed to this process, and closes the file.
func Open(file *os.File) (*Conn, error) {
	conn, err := connOf(file)
	if err != nil {
		return nil, err
	}
	return &Conn{socket: conn}, nil
}

func connOf(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("descriptor is a %T, not a unix socket", conn), conn.Close())
	}
	return socket, nil
}

// Send sends a message.
func (c *Conn) Send(message []byte) error { return c.send(message, nil) }

// Dial connects the two processes with another pair of sockets: the other end arrives there with the message.
func (c *Conn) Dial(message []byte) (net.Conn, error) {
	mine, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	err = c.send(message, unix.UnixRights(int(theirs.Fd())))
	theirs.Close()
	if err != nil {
		mine.Close()
		return nil, err
	}
	return connOf(mine)
}

func (c *Conn) send(message, rights []byte) error {
	if len(message) > MaxMessageBytes {
		return fmt.Errorf("message has %d bytes; at most %d can be sent", len(message), MaxMessageBytes)
	}
	packet := binary.LittleEndian.AppendUint32(nil, uint32(len(message)))
	packet = append(packet, message...)
	c.sending.Lock()
	defer c.sending.Unlock()
	n, _, err := c.socket.WriteMsgUnix(packet, rights, nil)
	if err == nil && n < len(packet) {
		_, err = c.socket.Write(packet[n:])
	}
	return err
}

// Receive returns the next message and the socket that came with it, nil if none did. One goroutine calls it. The error
// is io.EOF when the other process has closed its end or has ended.
func (c *Conn) Receive() ([]byte, net.Conn, error) {
	var head [headBytes]byte
	rights := make([]byte, unix.CmsgSpace(4)) // one descriptor
	n, controlled, _, _, err := c.socket.ReadMsgUnix(head[:], rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, nil, err
	}
	passed, err := passedIn(rights[:controlled])
	if err != nil {
		return nil, nil, err
	}
	message, err := c.rest(head[:], n)
	if err != nil && passed != nil {
		passed.Close()
		passed = nil
	}
	if passed == nil {
		return message, nil, err
	}
	return message, passed, err
}

// rest reads a message of whose head n bytes are there.
func (c *Conn) rest(head []byte, n int) ([]byte, error) {
	if _, err := io.ReadFull(c.socket, head[n:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(head)
	if length > MaxMessageBytes {
		return nil, fmt.Errorf("message of %d bytes announced; at most %d are allowed", length, MaxMessageBytes)
	}
	message := make([]byte, length)
	_, err := io.ReadFull(c.socket, message)
	return message, err
}

// passedIn is the socket in the control data of a message.
func passedIn(control []byte) (*net.UnixConn, error) {
	if len(control) == 0 {
		return nil, nil //nolint:nilnil // none was passed
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		for _, fd := range fds { // there is room for one
			return connOf(os.NewFile(uintptr(fd), "passed"))
		}
	}
	return nil, nil //nolint:nilnil // none was passed
}

// Close closes this end: the other one receives io.EOF.
func (c *Conn) Close() error { return c.socket.Close() }
