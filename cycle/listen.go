package cycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/sockaddr"
	"starling/side"
)

// nginx retries an address in use five times, half a second apart: a predecessor may be about to end.
const (
	bindTries      = 5
	bindRetryAfter = 500 * time.Millisecond
)

// acceptPause is the pause of a listener when the process or the system has no descriptors left, as in nginx.
const acceptPause = 500 * time.Millisecond

// unixMode lets all users connect to a unix socket, as in nginx; directories restrict it.
const unixMode = 0o666

// socketKey identifies listening sockets. A reload keeps those with the same key.
type socketKey struct {
	addr     sockaddr.Addr
	ipv6Only bool
	network  string // of the transport over UDP; "": TCP or a unix socket
}

// claim is what can be bound once: the system does not distinguish transports over UDP.
func (k socketKey) claim() socketKey {
	if k.network != "" {
		k.network = "udp"
	}
	return k
}

// listener is a listening socket with its accept loop. The configuration that serves its connections can change at any
// time.
type listener struct {
	key     socketKey
	options sockaddr.Options
	last    bool // see side.Port.KeepUntilLast
	socket  net.Listener
	packets *net.UDPConn // beneath the socket; nil for others
	target  atomic.Pointer[handlers]
	turns   atomic.Uint64 // of the accept loop
	closing chan struct{}
	ended   chan struct{}
	dropped func()
	paused  pause
	passed  bool // by a service manager, which keeps it
}

// bindError is a failure with nginx's text.
type bindError struct {
	addr  sockaddr.Addr
	cause error
}

func (e *bindError) Error() string {
	return fmt.Sprintf("bind() to %s failed (%s)", e.addr, errno.Reason(e.cause))
}

func (e *bindError) Unwrap() error { return e.cause }

// bind makes the listening socket, from one that was passed to the process if there is one. Connections wait in the
// kernel, or with the transport, until accept is called.
func bind(ctx context.Context, s socket, passed *os.File) (*listener, error) {
	l := &listener{key: s.key, options: s.options, closing: make(chan struct{}), ended: make(chan struct{})}
	var err error
	switch {
	case passed != nil:
		err = l.listenOn(s, passed)
	case s.transport != nil:
		err = l.bindDatagrams(ctx, s)
	default:
		l.socket, err = bindConnections(ctx, s.key, s.options)
	}
	if err != nil {
		return nil, &bindError{s.key.addr, err}
	}
	return l, nil
}

// bindConnections makes a TCP or unix socket.
func bindConnections(ctx context.Context, key socketKey, options sockaddr.Options) (net.Listener, error) {
	network, address := "unix", key.addr.Path
	if !key.addr.IsUnix() {
		network, address = key.family("tcp"), key.addr.AddrPort.String()
	}
	// Keepalive probes are off as in nginx; without the value -1, each accept would cost four more system calls.
	config := net.ListenConfig{KeepAlive: -1, Control: beforeBind(options)}
	config.SetMultipathTCP(options.Multipath)
	socket, err := config.Listen(ctx, network, address)
	if err != nil && key.addr.IsUnix() && errors.Is(err, syscall.EADDRINUSE) && removeStale(key.addr.Path) {
		socket, err = config.Listen(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	if key.addr.IsUnix() {
		err = os.Chmod(key.addr.Path, unixMode)
	}
	if err == nil {
		err = tune(socket, options)
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// family is Go's name of the transport for the address: with 4 or 6 after it, or without for both.
func (k socketKey) family(transport string) string {
	switch {
	case k.addr.Addr().Is4():
		return transport + "4"
	case k.addr.Wildcard() && !k.ipv6Only:
		return transport
	}
	return transport + "6"
}

// tune changes the options of the socket. Datagrams support only the buffers.
func (l *listener) tune(options sockaddr.Options) error {
	if l.packets != nil {
		return tuneDatagrams(l.packets, options)
	}
	return tune(l.socket, options)
}

// bindDatagrams makes a UDP socket, from whose datagrams the transport makes connections.
func (l *listener) bindDatagrams(ctx context.Context, s socket) error {
	if s.key.addr.IsUnix() {
		return errors.New("UDP over unix sockets is not supported by starling")
	}
	config := net.ListenConfig{Control: beforeBind(s.options)}
	socket, err := config.ListenPacket(ctx, s.key.family("udp"), s.key.addr.AddrPort.String())
	if err != nil {
		return err
	}
	return l.takeDatagrams(socket.(*net.UDPConn), s)
}

// takeDatagrams makes a listener of a bound UDP socket.
func (l *listener) takeDatagrams(packets *net.UDPConn, s socket) (err error) {
	if err := tuneDatagrams(packets, s.options); err != nil {
		return errors.Join(err, packets.Close())
	}
	l.packets = packets
	if s.paused {
		if err := packets.SetReadDeadline(longAgo); err != nil {
			return errors.Join(err, packets.Close())
		}
	}
	if l.socket, err = s.transport.Listen(packets, l.handlerOf); err != nil || !s.paused {
		return err
	}
	return l.pause()
}

// removeStale removes a unix socket left by a killed process that no longer listens.
func removeStale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close() // another process listens
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && os.Remove(path) == nil
}

// bindPatiently is bind that waits for an address in use to become free.
func bindPatiently(ctx context.Context, s socket, passed *os.File, log logs.Logger) (*listener, error) {
	for try := 1; ; try++ {
		l, err := bind(ctx, s, passed)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || try == bindTries {
			return l, err
		}
		log.Logf(logs.Notice, "%v", err)
		log.Logf(logs.Notice, "try again to bind() after %dms", bindRetryAfter.Milliseconds())
		select {
		case <-time.After(bindRetryAfter):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// accept accepts connections from a time on until the socket is closed, each in a goroutine of its own.
func (l *listener) accept(from <-chan struct{}, log func() logs.Logger) {
	defer close(l.ended)
	select {
	case <-from:
	case <-l.closing:
	}
	for {
		l.turns.Add(1)
		conn, err := l.socket.Accept()
		switch {
		case err == nil:
			go l.expect(conn).ServeExpected(conn)
			// Of several simultaneous connections, the first is served first: without this, the scheduler would start
			// with the newest.
			runtime.Gosched()
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.paused.await(l.closing)
		case errors.Is(err, syscall.ECONNABORTED):
			// the client disconnected before it was accepted
		default:
			l.dropped()
			log().Logf(logs.Crit, "accept() on %s failed (%v); retrying in %v", l.key.addr, err, acceptPause)
			time.Sleep(acceptPause)
		}
	}
}

// expect returns the server for a connection, and has announced it there. If a reload replaced the target meanwhile,
// the retiring one may have missed the announcement: then the next one gets it. Run replaces first and retires
// afterwards.
func (l *listener) expect(conn net.Conn) side.ConnHandler {
	for {
		target := l.target.Load()
		s := target.of(conn.LocalAddr())
		s.Expect()
		if l.target.Load() == target {
			return s
		}
		s.Unexpect()
	}
}

// handlerOf returns the handler of connections to a local address now, nil before the first configuration runs.
func (l *listener) handlerOf(local net.Addr) side.ConnHandler {
	if target := l.target.Load(); target != nil {
		return target.of(local)
	}
	return nil
}

// close stops listening and waits for the accept loop. Connections already accepted continue.
func (l *listener) close() error {
	close(l.closing)
	err := l.socket.Close()
	if l.target.Load() != nil {
		<-l.ended
	}
	return err
}
