package socketwatch

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// batch is how many events are read from the system at once.
const batch = 64

// Watcher watches sockets. It is safe for concurrent use.
type Watcher struct {
	poller *os.File // an epoll of its own, which the runtime's poller wakes like any other file
	raw    syscall.RawConn
	done   chan struct{}

	mu      sync.Mutex
	sockets map[uint64]socket
	last    uint64
	closed  bool
}

// socket is a watched socket.
type socket struct {
	tell func()
	once bool
}

// New starts a watcher; Close ends it.
func New() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile gives only such files to the poller
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &Watcher{
		poller:  os.NewFile(uintptr(fd), "socketwatch"),
		done:    make(chan struct{}),
		sockets: map[uint64]socket{},
	}
	if w.raw, err = w.poller.SyscallConn(); err != nil {
		w.poller.Close()
		return nil, err
	}
	go w.run()
	return w, nil
}

// Close ends the watcher: it calls no function afterwards.
func (w *Watcher) Close() error {
	w.mu.Lock()
	w.closed = true
	clear(w.sockets)
	w.mu.Unlock()
	err := w.poller.Close()
	<-w.done
	return err
}

// Hangup calls gone, once, from another goroutine, when the peer of a socket closes it or at least shuts down its
// sending side; also if it did so before. gone must not block. The socket may be closed at any time; Remove then
// forgets gone. Bytes that come and go cost nothing.
func (w *Watcher) Hangup(connection syscall.RawConn, gone func()) (id uint64, err error) {
	return w.add(connection, unix.EPOLLRDHUP, socket{tell: gone, once: true})
}

// Arrivals calls arrived from another goroutine whenever something new can be read from a socket, including an error;
// also if it came before. Events during a call of arrived may be merged into one. arrived must not block. The socket
// may be closed at any time; Remove then forgets arrived.
func (w *Watcher) Arrivals(connection syscall.RawConn, arrived func()) (id uint64, err error) {
	return w.add(connection, unix.EPOLLIN|unix.EPOLLRDHUP, socket{tell: arrived})
}

func (w *Watcher) add(connection syscall.RawConn, events uint32, s socket) (id uint64, err error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return 0, os.ErrClosed
	}
	w.last++
	id = w.last
	w.sockets[id] = s
	w.mu.Unlock()
	// Edge-triggered, and only for the requested events: other bytes wake nothing here. The number comes back with the
	// event, because the descriptor may belong to another socket by then.
	event := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(uint32(id)), Pad: int32(id >> 32)}
	var pollerErr, ctlErr error
	socketErr := connection.Control(func(fd uintptr) {
		// Both are held meanwhile: if this watcher were closed, another file might have its number by now.
		pollerErr = w.raw.Control(
			func(poller uintptr) { ctlErr = unix.EpollCtl(int(poller), unix.EPOLL_CTL_ADD, int(fd), &event) },
		)
	})
	if pollerErr != nil { // closed since the call
		pollerErr = os.ErrClosed
	}
	if err := errors.Join(socketErr, pollerErr, os.NewSyscallError("epoll_ctl", ctlErr)); err != nil {
		w.Remove(id)
		return 0, err
	}
	return id, nil
}

// Remove forgets a socket. A call of its function that has begun may still be running.
func (w *Watcher) Remove(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sockets, id)
	if len(w.sockets) == 0 {
		w.sockets = map[uint64]socket{} // a map does not shrink
	}
}

func (w *Watcher) run() {
	defer close(w.done)
	var events [batch]unix.EpollEvent
	// It ends when the file is closed.
	_ = w.raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			switch {
			case err == unix.EINTR:
			case err != nil:
				return true
			case n == 0:
				return false
			}
			for i := range max(n, 0) {
				w.tell(uint64(uint32(events[i].Fd)) | uint64(uint32(events[i].Pad))<<32)
			}
		}
	})
}

func (w *Watcher) tell(id uint64) {
	w.mu.Lock()
	s := w.sockets[id]
	if s.once {
		delete(w.sockets, id)
	}
	w.mu.Unlock()
	if s.tell != nil {
		s.tell()
	}
}
