package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"starling/cycle"
	"starling/lib/durable"
	"starling/lib/passfd"
	"starling/logs"
)

// The binary is replaced by a second process, a child that inherits the listening sockets: see
// docs/decisions/2026-11-28-upgrade.md. The two talk over a pair of unix sockets. At any time one of them accepts
// clients.

// siblingVariable tells a process that it replaces another one: the descriptor of its end of the pair, a colon, and the
// number of the sockets after it.
const siblingVariable = "STARLING_UPGRADE"

// greetingVariable has the first message of the process that this one replaces, which may die before it can send it.
// Releases before 0.2 do not set it.
const greetingVariable = "STARLING_UPGRADE_HELLO"

// maxInherited bounds the number of sockets in siblingVariable: a higher one is a mistake, and each would be tried.
const maxInherited = 65536

// message is what the two processes send each other, as JSON, so that releases can add fields.
type message struct {
	Kind string `json:"kind"`
	// of hello, which the old process sends first
	PID      int      `json:"pid,omitempty"`
	Subject  string   `json:"subject,omitempty"`
	Selves   []string `json:"selves,omitempty"`
	Foreign  []string `json:"foreign,omitempty"`
	Detached bool     `json:"detached,omitempty"`
	// Networks are those that the new process has; of started.
	Networks []cycle.Network `json:"networks,omitempty"`
	// Network is the one of connect.
	Network cycle.Network `json:"network,omitempty"`
	// Text is the reason of failed, or the error of persisted.
	Text string `json:"text,omitempty"`
	// ID belongs to a persist and its persisted.
	ID uint64 `json:"id,omitempty"`
}

// The kinds of messages.
const (
	kindHello     = "hello"
	kindStarted   = "started"   // the new process has its configuration, and shares zones
	kindConnect   = "connect"   // comes with a socket
	kindReady     = "ready"     // the new process has all records
	kindTake      = "take"      // accept clients: the sender does not any more
	kindTaken     = "taken"     // the sender accepts clients
	kindMain      = "main"      // the service manager knows that the receiver is the main process
	kindGive      = "give"      // hand the clients over to the sender
	kindFailed    = "failed"    // the sender cannot do what it was told
	kindPersist   = "persist"   // write all to the disk
	kindPersisted = "persisted" // it is there
	kindBye       = "bye"       // the sender ends

	// These are not sent: they are what this process finds out.
	kindGone   = "gone"   // the other end of the pair is closed
	kindExited = "exited" // the child
	kindLate   = "late"   // the new process was not ready in time
)

const (
	// drainTimeout bounds how long clients wait in the accept queues while the other process gets the last changes.
	drainTimeout = 5 * time.Second
	// takeTimeout bounds the same while it opens the state files.
	takeTimeout = 10 * time.Second
	// lockTimeout bounds how long it waits for the locks of state files: a killed process with much memory has them
	// until that is freed.
	lockTimeout = 5 * time.Second
	// readOutTimeout bounds how long the last bytes of a process that has ended are read: they are on this machine,
	// less than the buffers of some sockets.
	readOutTimeout = 2 * time.Second
	// lastWordsTimeout bounds how long the end of a child waits for its last messages: they are read when the
	// preparations end, and a child of the child can keep the pair open.
	lastWordsTimeout = shareTimeout + readOutTimeout
	// persistTimeout bounds how long a client waits for a write that the other process must keep.
	persistTimeout = 10 * time.Second
)

// sibling is the other process while the binary is replaced.
type sibling struct {
	host   *cycle.Host
	conn   *passfd.Conn
	pid    int
	events chan message

	// serving means that this process accepts clients, and handed that it no longer did once.
	serving, handed bool
	// started means that the child has loaded its configuration, and leaves that the other process ends on purpose.
	started, leaves bool
	// waiting are messages that came while another one was awaited.
	waiting []message
	// child ends the child by force; nil in the child.
	child *successor

	mu       sync.Mutex
	handover *cycle.Handover
	persists map[uint64]chan error
	next     uint64
	// turn is closed while this process has the files that only one may write.
	turn chan struct{}
	// alive ends when the other process has ended.
	alive context.Context
	end   context.CancelFunc
}

func newSibling(host *cycle.Host, conn *passfd.Conn) *sibling {
	b := &sibling{host: host, conn: conn, events: make(chan message, 16), persists: map[uint64]chan error{},
		turn: make(chan struct{})}
	b.alive, b.end = context.WithCancel(context.Background())
	return b
}

func (b *sibling) hasEnded() error { return fmt.Errorf("%s has ended", b.name()) }

// isStarting reports whether the other process is new and has not got the clients yet.
func (b *sibling) isStarting() bool { return b.child != nil && !b.handed }

// name is the other process in logs.
func (b *sibling) name() string { return fmt.Sprintf("process %d", b.pid) }

// peer is the other process for the cycle.
func (b *sibling) peer(subject string, selves []string) *cycle.Peer {
	return &cycle.Peer{Name: b.name(), Subject: subject, Selves: selves, Dial: func(n cycle.Network) (net.Conn, error) {
		text, err := json.Marshal(message{Kind: kindConnect, Network: n})
		if err != nil {
			return nil, err
		}
		return b.conn.Dial(text)
	}}
}

func (b *sibling) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return b.conn.Send(text)
}

// receive returns the next message.
func (b *sibling) receive() (m message, socket net.Conn, err error) {
	text, socket, err := b.conn.Receive()
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil && socket != nil {
		socket.Close()
	}
	return m, socket, err
}

// listen receives messages until the other process has ended.
func (b *sibling) listen() {
	for {
		m, socket, err := b.receive()
		if err != nil {
			break
		}
		switch m.Kind {
		case kindConnect:
			b.connected(m.Network, socket)
		case kindPersist:
			go b.persisted(m.ID)
		case kindPersisted:
			b.answer(m)
		default:
			b.events <- m
		}
	}
	b.end()
	b.events <- message{Kind: kindGone}
}

// exited reports that the child has exited, after all that it had sent: its last message may have the reason.
func (b *sibling) exited(text string) {
	select {
	case <-b.alive.Done():
	case <-time.After(lastWordsTimeout):
	}
	b.events <- message{Kind: kindExited, Text: text}
}

// connected serves a connection that the other process has dialled.
func (b *sibling) connected(n cycle.Network, socket net.Conn) {
	if socket == nil {
		return
	}
	b.mu.Lock()
	handover := b.handover
	b.mu.Unlock()
	if handover == nil {
		socket.Close()
		return
	}
	go handover.Serve(n, socket)
}

func (b *sibling) share(h *cycle.Handover) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handover = h
}

// persisted answers a persist.
func (b *sibling) persisted(id uint64) {
	b.mu.Lock()
	turn := b.turn
	b.mu.Unlock()
	select {
	case <-turn: // it may have been asked before it was told to take the files
	case <-b.alive.Done():
		return
	}
	answer := message{Kind: kindPersisted, ID: id}
	if err := b.host.Persist(); err != nil {
		answer.Text = err.Error()
	}
	if err := b.send(answer); err != nil {
		b.host.Log().Logf(logs.Error, "upgrade: cannot answer %s: %v", b.name(), err)
	}
}

func (b *sibling) answer(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiter := b.persists[m.ID]
	if waiter == nil {
		return
	}
	delete(b.persists, m.ID)
	if m.Text != "" {
		waiter <- errors.New(m.Text)
	} else {
		waiter <- nil
	}
}

// errKeeperEnded is why the other process does not have a write on disk.
var errKeeperEnded = errors.New("the process that keeps the state files has ended")

// persist waits until the other process has on disk what this one has changed so far. If that process ends meanwhile,
// it waits until this one has the files, and returns an error.
func (b *sibling) persist() error {
	ctx, cancel := context.WithTimeout(context.Background(), persistTimeout)
	defer cancel()
	err := b.askPersist(ctx)
	if err == nil || b.alive.Err() == nil {
		return err
	}
	b.mu.Lock()
	turn := b.turn
	b.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	}
	return errKeeperEnded
}

func (b *sibling) askPersist(ctx context.Context) error {
	ctx, cancel := b.whileAlive(ctx)
	defer cancel()
	b.mu.Lock()
	b.next++
	id, waiter, handover := b.next, make(chan error, 1), b.handover
	b.persists[id] = waiter
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.persists, id)
	}()
	if err := handover.Drain(ctx); err != nil {
		return err
	}
	if err := b.send(message{Kind: kindPersist, ID: id}); err != nil {
		return err
	}
	select {
	case err := <-waiter:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// whileAlive is a context that also ends with the other process.
func (b *sibling) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

// await returns the next message of one of the kinds. Others wait until their turn; an end of the other process does
// not.
func (b *sibling) await(limit time.Duration, kinds ...string) (message, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case m := <-b.events:
			for _, kind := range kinds {
				if m.Kind == kind {
					return m, nil
				}
			}
			b.waiting = append(b.waiting, m)
			switch m.Kind {
			case kindFailed:
				return m, errors.New(m.Text)
			case kindGone, kindExited:
				return m, b.hasEnded()
			}
		case <-timer.C:
			return message{}, fmt.Errorf("%s did not answer within %v", b.name(), limit)
		}
	}
}

// give hands the clients over to the other process: from here on they wait in the accept queues, then that process
// accepts them. If it cannot, this one goes on.
func (b *sibling) give() error {
	b.host.Pause(true)
	b.host.OwnSockets(false)
	b.mu.Lock()
	b.turn = make(chan struct{})
	b.mu.Unlock()
	err := b.host.Yield(b.persist)
	if err == nil {
		ctx, cancel := context.WithTimeout(b.alive, drainTimeout)
		if err = b.handover.Drain(ctx); err != nil && b.alive.Err() != nil {
			err = b.hasEnded()
		}
		cancel()
	}
	if err == nil {
		err = b.send(message{Kind: kindTake})
	}
	if err == nil {
		_, err = b.await(takeTimeout, kindTaken)
	}
	if err != nil {
		return err
	}
	b.serving, b.handed = false, true
	b.handover.Redirect()
	return nil
}

// take accepts the clients that the other process has handed over, or goes on after it has failed to take them.
func (b *sibling) take() error {
	if err := b.seize(); err != nil {
		return errors.Join(err, b.host.Yield(b.persist))
	}
	b.host.OwnSockets(true)
	b.host.Resume()
	b.serving = true
	b.mu.Lock()
	close(b.turn)
	b.mu.Unlock()
	return nil
}

// seize opens the files that only one process may write. One that is being killed can have them for a moment longer
// than the connection to it.
func (b *sibling) seize() error {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	for {
		err := b.host.Seize()
		if !errors.Is(err, durable.ErrInUse) {
			return err
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return err
		}
	}
}

// readOut takes what the other process, which has ended, had sent before.
func (b *sibling) readOut() {
	ctx, cancel := context.WithTimeout(context.Background(), readOutTimeout)
	defer cancel()
	if err := b.handover.ReadOut(ctx); err != nil {
		b.host.Log().Logf(logs.Warn, "upgrade: cannot read all that %s had sent: %v", b.name(), err)
	}
}

// legacy is what a process passes to the one that replaces it: an end of a pair of sockets, and its listening sockets.
type legacy struct {
	conn    *passfd.Conn
	sockets []*os.File
	// greeting is its first message, as far as it was known before the other process was started; without a PID if a
	// release that does not tell it has started this process.
	greeting message
}

// inherited returns what the process that this one replaces has passed to it. It returns nil in any other process.
func inherited() (*legacy, error) {
	value, given := os.LookupEnv(siblingVariable)
	if !given {
		return nil, nil
	}
	left := new(legacy)
	if greeting, told := os.LookupEnv(greetingVariable); told {
		if err := json.Unmarshal([]byte(greeting), &left.greeting); err != nil {
			return nil, fmt.Errorf("%s \"%s\" is invalid: only starling sets it", greetingVariable, greeting)
		}
	}
	os.Unsetenv(siblingVariable) // the names are valid: it cannot fail
	os.Unsetenv(greetingVariable)
	first, count, _ := strings.Cut(value, ":")
	fd, err := strconv.Atoi(first)
	n, countErr := strconv.Atoi(count)
	if err := errors.Join(err, countErr); err != nil || fd < 3 || n < 0 || n > maxInherited {
		return nil, fmt.Errorf("%s \"%s\" is invalid: only starling sets it", siblingVariable, value)
	}
	for i := fd; i <= fd+n; i++ {
		if _, err := unix.FcntlInt(uintptr(i), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("%s names descriptor %d, which is not open", siblingVariable, i)
		}
		if i > fd {
			left.sockets = append(left.sockets, os.NewFile(uintptr(i), "inherited"))
		}
	}
	left.conn, err = passfd.Open(os.NewFile(uintptr(fd), "sibling"))
	return left, err
}
