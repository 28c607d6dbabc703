package cycle

import (
	"context"
	"errors"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/lib/packets"
	"starling/logs"
	"starling/plan"
)

// quitSyncTimeout limits the sending of updates to the cluster after the last request of a graceful shutdown.
const quitSyncTimeout = 10 * time.Second

// closeTimeout limits the time until the goroutine of a closed connection notices it.
const closeTimeout = 5 * time.Second

// holdClients limits how long clients wait in the sockets' queues during the initial sync of a new process. A million
// records take half a second; after this time, serving is more important.
const holdClients = 2 * time.Second

// Host is what outlives configurations: listening sockets, log files, counters. One goroutine calls its methods.
type Host struct {
	options     Options
	files       *logs.Files
	connections plan.Connections
	listeners   map[socketKey]*listener
	current     atomic.Pointer[Cycle]
	generation  int
	testing     bool
	admitted    chan struct{} // closed when connections can be accepted
	privileged  atomic.Pointer[func(work func() error) error]
	retiring    sync.WaitGroup
	memory      memoryWatch
	passed      []passedSocket  // not yet claimed by a listen directive
	predecessor *Peer           // nil: this process replaces no other
	seized      bool            // it has taken over from it
	inherited   map[string]bool // paths of unix sockets that it made
	pulse       pulse           // of the accept loops
	datagrams   *packets.Budget // of all UDP sessions
	sessions    memoryWatch     // of these

	sessionBytes int64  // the constant, except in tests
	giveBack     func() // memory, to the system
	life         context.Context
	endLife      func()

	mu   sync.Mutex
	gone map[*Cycle]bool // retired, not yet ended
}

// NewHost returns a host that reads its configuration according to the options.
func NewHost(o Options, files *logs.Files) *Host {
	h := &Host{
		options: o, files: files, listeners: map[socketKey]*listener{}, gone: map[*Cycle]bool{},
		admitted: make(chan struct{}),
		giveBack: debug.FreeOSMemory, datagrams: packets.NewBudget(shareOfDescriptors), sessionBytes: sessionBytes,
	}
	h.life, h.endLife = context.WithCancel(context.Background())
	close(h.admitted)
	files.Report(h.Log)
	return h
}

// Hold keeps connections in the sockets' queues until admit is called: no client is served with privileges that the
// process is about to drop. Call it before the first Run.
func (h *Host) Hold() (admit func()) {
	held := make(chan struct{})
	h.admitted = held
	return func() { close(held) }
}

// GaveUpRights sets how to run work that needs the privileges that the process had at its start. Nil means that they
// are gone for good.
func (h *Host) GaveUpRights(privileged func(work func() error) error) {
	h.privileged.Store(&privileged)
}

// KeepsRights reports whether the process has dropped privileges of root that AsStarted still uses.
func (h *Host) KeepsRights() bool {
	privileged := h.privileged.Load()
	return privileged != nil && *privileged != nil
}

// AsStarted runs work with the privileges that the process had at its start, as far as it still can.
func (h *Host) AsStarted(work func() error) error {
	if privileged := h.privileged.Load(); privileged != nil && *privileged != nil {
		return (*privileged)(work)
	}
	return work()
}

// Test reads and builds the configuration like Load and releases it. The draft is returned if it could be read.
func (h *Host) Test() (*Draft, error) {
	h.testing = true
	d, f, err := read(h.options, nil)
	if err != nil {
		return d, err
	}
	c, err := h.build(d, f)
	if err == nil {
		err = errors.Join(c.plan.Load()...)
		c.plan.Logs.Close()
	}
	return d, err
}

// Load reads and builds the configuration, as the successor of the running one if there is one. It changes nothing yet.
func (h *Host) Load() (*Cycle, error) {
	var old *plan.Plan
	if c := h.Current(); c != nil {
		old = c.plan
	}
	d, f, err := read(h.options, old)
	if err != nil {
		return nil, err
	}
	return h.build(d, f)
}

// Listen binds the sockets that a configuration needs and that are not bound yet, and loads its state files. The
// cluster's port is bound first: a peer that starts at the same time finds this node, and waits for the data it loads
// instead of serving without them. Clients are rejected meanwhile, and go to another node. If anything fails, nothing
// is bound, and the configuration is dropped.
func (h *Host) Listen(ctx context.Context, c *Cycle) error {
	var errs []error
	b := binding{host: h, log: c.log, seen: map[socketKey]bool{}}
	all := sockets(c.ports())
	b.bind(ctx, all, func(s socket) bool { return s.last })
	if len(b.errs) == 0 {
		errs = c.plan.Load()
	}
	if len(errs) == 0 {
		b.bind(ctx, all, func(s socket) bool { return !s.last })
	}
	if errs = append(errs, b.errs...); len(errs) == 0 {
		return nil
	}
	c.plan.Logs.Close()
	return errors.Join(append(errs, b.undo()...)...)
}

// binding is the state of one Listen.
type binding struct {
	host  *Host
	log   logs.Logger
	seen  map[socketKey]bool
	fresh []*listener
	errs  []error
}

// bind binds some of the sockets, if not bound yet.
func (b *binding) bind(ctx context.Context, all []socket, which func(socket) bool) {
	h := b.host
	for _, s := range all {
		if !which(s) {
			continue
		}
		if b.seen[s.key.claim()] {
			b.errs = append(b.errs, &bindError{s.key.addr, syscall.EADDRINUSE}) // http and stream both want it
			continue
		}
		b.seen[s.key.claim()] = true
		if h.listeners[s.key] != nil {
			continue
		}
		s.paused = h.succeeds()
		passed := h.claim(s.key)
		l, err := bindPatiently(ctx, s, passed, b.log)
		if err != nil {
			b.errs = append(b.errs, err)
			continue
		}
		l.dropped, l.passed = h.connections.Dropped, passed != nil && !h.inherited[s.key.addr.Path]
		l.share(h.datagrams)
		b.fresh = append(b.fresh, l)
		h.listeners[s.key] = l
	}
}

// undo closes the sockets that were bound.
func (b *binding) undo() (errs []error) {
	for _, l := range b.fresh {
		delete(b.host.listeners, l.key)
		if err := l.close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Run starts a listening configuration, makes it serve new connections, and retires the previous one. On an error, the
// previous one continues.
func (h *Host) Run(c *Cycle) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	if err := c.plan.Start(ctx); err != nil {
		cancel()
		c.plan.Retire()
		c.plan.Logs.Close()
		h.closeListeners(func(l *listener) bool { return l.target.Load() == nil })
		return err
	}
	wanted := map[socketKey]bool{}
	clients := h.clients(ctx, c)
	for _, s := range sockets(c.ports()) {
		wanted[s.key] = true
		l := h.listeners[s.key]
		l.last = s.last
		l.limit(s.sessions, h.Log)
		if first := l.target.Swap(s.handlers) == nil; first {
			from := clients
			if s.last { // clients wait for the other nodes
				from = h.admitted
			}
			go l.accept(from, h.Log)
		}
		if l.options != s.options {
			if err := l.tune(s.options); err != nil {
				c.log.Logf(logs.Alert, "cannot change socket options of %s: %v", s.key.addr, err)
			}
			l.options = s.options
		}
	}
	old := h.current.Swap(c)
	h.generation++
	c.plan.Old = nil
	h.closeListeners(func(l *listener) bool { return !wanted[l.key] })
	running := slices.Collect(maps.Values(h.listeners))
	h.pulse.listeners.Store(&running)
	if old != nil {
		h.retire(old)
	} else {
		h.lookAtMemory() // records from state files can be removed before the first tick
		go h.watchMemory(h.life)
	}
	return nil
}

// clients is closed when clients can be served: at once, unless the process has just started and has something to wait
// for.
func (h *Host) clients(ctx context.Context, c *Cycle) <-chan struct{} {
	if h.Current() != nil {
		return h.admitted
	}
	from := make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, holdClients)
	go func() {
		defer close(from)
		defer cancel()
		c.plan.AwaitClients(ctx)
		<-h.admitted
	}()
	return from
}

// Reload replaces the running configuration by a newly read one. On an error, the running one continues unchanged.
func (h *Host) Reload(ctx context.Context) error {
	return h.AsStarted(func() error {
		c, err := h.Load()
		if err != nil {
			return err
		}
		if err := h.Listen(ctx, c); err != nil {
			return err
		}
		return h.Run(c)
	})
}

func (h *Host) closeListeners(which func(*listener) bool) {
	for key, l := range h.listeners {
		if !which(l) {
			continue
		}
		delete(h.listeners, key)
		if err := h.AsStarted(l.close); err != nil { // a unix socket can be in a folder of root's
			h.Log().Logf(logs.Alert, "close() of %s failed: %v", key.addr, err)
		}
	}
}

// Log is the error log of the running configuration.
func (h *Host) Log() logs.Logger {
	if c := h.Current(); c != nil {
		return c.log
	}
	return logs.Discard
}

// Current is the running configuration, nil before the first.
func (h *Host) Current() *Cycle { return h.current.Load() }

// Reopen reopens all log files.
func (h *Host) Reopen() {
	var errs []error
	if err := h.AsStarted(func() error { errs = h.files.Reopen(); return nil }); err != nil {
		errs = append(errs, err)
	}
	for _, err := range errs {
		h.Log().Logf(logs.Emerg, "%v", err)
	}
}

// retire lets a configuration end after its last connection, or by force after worker_shutdown_timeout.
func (h *Host) retire(c *Cycle) {
	c.cancel()
	h.mu.Lock()
	h.gone[c] = true
	h.mu.Unlock()
	timeout := h.Current().Settings.ShutdownTimeout
	c.startDraining()
	h.retiring.Go(func() {
		c.drained(timeout, nil)
		c.plan.Retire()
		// Operators and test suites recognize by these texts that the old configuration serves no client any more.
		h.Log().Logf(logs.Notice, "worker process %d exited with code 0", os.Getpid())
		h.mu.Lock()
		delete(h.gone, c)
		h.mu.Unlock()
		go c.closeLogs()
	})
}

// startDraining closes idle connections. Busy ones continue.
func (c *Cycle) startDraining() {
	for _, s := range c.sites {
		s.Retire()
	}
}

// drained waits for the last request and session. After the timeout (0: none), or when hurry is closed, they are ended
// by force. Those that still do not end are abandoned.
func (c *Cycle) drained(timeout time.Duration, hurry <-chan struct{}) {
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range c.sites {
			<-s.Drained()
		}
	}()
	select {
	case <-done:
		return
	case <-late:
	case <-hurry:
	}
	c.closeSides()
	select {
	case <-done:
	case <-time.After(closeTimeout):
		c.log.Logf(logs.Alert,
			"some requests or sessions did not stop after their connections were closed; abandoning them")
	}
}

func (c *Cycle) closeSides() {
	for _, s := range c.sites {
		s.Close()
	}
}

// closeLogs closes the log files after the sessions that outlive their configuration have ended too.
func (c *Cycle) closeLogs() {
	for _, s := range c.sites {
		<-s.Emptied()
	}
	c.plan.Logs.Close()
}

// Quit shuts down gracefully: no new clients, requests in flight complete, then pending updates go to the cluster,
// whose listener stays until then. Closing hurry ends what still runs by force. The host cannot be used afterwards.
func (h *Host) Quit(hurry <-chan struct{}) {
	c := h.Current()
	h.closeListeners(func(l *listener) bool { return !l.last })
	c.startDraining()
	c.drained(c.Settings.ShutdownTimeout, hurry)
	h.waitForRetired(hurry)
	ctx, cancel := context.WithTimeout(context.Background(), quitSyncTimeout)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.plan.Quit(ctx)
	h.end()
}

// waitForRetired waits for configurations that a reload replaced.
func (h *Host) waitForRetired(hurry <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		h.retiring.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-hurry:
		h.closeRetired()
		select {
		case <-done:
		case <-time.After(closeTimeout):
		}
	}
}

func (h *Host) closeRetired() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.gone {
		c.closeSides()
	}
}

// Stop shuts down immediately: all connections are closed.
func (h *Host) Stop() {
	c := h.Current()
	h.closeListeners(func(*listener) bool { return true })
	c.startDraining()
	h.closeRetired()
	hurry := make(chan struct{})
	close(hurry)
	c.drained(0, hurry)
	h.waitForRetired(hurry)
	h.end()
}

// end closes the rest.
func (h *Host) end() {
	h.closeListeners(func(*listener) bool { return true })
	c := h.Current()
	c.cancel()
	c.plan.Retire()
	c.plan.Logs.Flush()
	h.endLife()
}

// GiveTo changes the owner of the log files, the directories of request bodies and the state files to the user that the
// process will become.
func (h *Host) GiveTo(uid, gid int) []error {
	return append(h.files.Chown(uid, gid), h.Current().plan.GiveTo(uid, gid)...)
}
