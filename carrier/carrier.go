// Package carrier gives the sync protocol its sockets: it dials the members of the cluster, serves the nodes that dial
// this one, and drives the pure core of package cluster with bytes and time.
package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"starling/cluster"
	"starling/lib/clock"
	"starling/lib/door"
	"starling/logs"
)

// Member is one zone_sync_server line.
type Member struct {
	// Host is a name or an address; empty for a unix socket.
	Host string
	Port int
	// Unix is the path of a unix socket, without "unix:".
	Unix string
	// link is the process that this one replaces, or that replaces this one: it has no address.
	link *Link
	// Resolve means that Host is looked up repeatedly and may have many addresses.
	Resolve bool
	// Line is where the member is configured, FILE:LINE.
	Line string
}

func (m Member) String() string {
	if m.link != nil {
		return m.link.Name
	}
	if m.Unix != "" {
		return "unix:" + m.Unix
	}
	return net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
}

// Resolver looks names up. The duration is how long the answer is valid.
type Resolver interface {
	LookupAddrs(ctx context.Context, name string) ([]netip.Addr, time.Duration, error)
	// Forget drops a cached answer.
	Forget(name string)
}

// Config is a node of the cluster with its sockets.
type Config struct {
	// Node is the core's configuration; its Driver is the carrier.
	Node    cluster.Config
	Members []Member
	// Resolver looks up members with resolve, StaticResolver the others; nil is the system's.
	Resolver, StaticResolver Resolver
	// ClientTLS returns the settings for dialling a member at an address, nil for a connection in clear. A nil function
	// means clear for all. The address is not valid for a unix socket.
	ClientTLS func(m Member, address netip.AddrPort) *tls.Config
	// RetryInterval is zone_sync_connect_retry_interval; 0 is 1 s.
	RetryInterval time.Duration
	// ReceiveBytes is zone_sync_recv_buffer_size; 0 is 64 KB.
	ReceiveBytes int
	// Clock is the clock with which the zones are used.
	Clock *clock.Clock
	Log   logs.Logger
	// Link is a process to share the zones with from the start; nil: none. Reload ignores it, see SetLink.
	Link *Link
	// Strict are limits that are never exceeded; nil: none.
	Strict *StrictConfig
}

const (
	defaultRetryInterval = time.Second
	defaultReceiveBytes  = 64 << 10
	// minReceiveBytes makes a read worth its system call.
	minReceiveBytes = 4 << 10
)

// Carrier are the cluster sockets of this node.
type Carrier struct {
	node  *cluster.Node
	clock *clock.Clock
	start time.Time
	flush *flusher
	// strict runs the strict limits.
	strict *strictRunner
	door   door.Door
	// sparing logs why strangers were rejected.
	sparing *logs.Sparing
	// peerLines logs events caused by known peers.
	peerLines *logs.Sparing

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	// dialer opens connections; tests under virtual time have their own.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)

	config atomic.Pointer[Config] // replaced whole by Reload
	// settled means that the node stays ready, under the current rules: see readiness.
	settled      atomic.Bool
	readySinceMS atomic.Int64 // monotonic; 0: it is not ready
	startedMS    atomic.Int64 // monotonic

	// mu is not held while the core is called: the core calls Met with its own locks held.
	mu      sync.Mutex
	started bool
	closed  bool
	dialers map[string]*dialer // by address
	watches map[string]*watch
	conns   map[*conn]struct{}
	members []resolved // of the configuration
	link    *Link
}

// Prepared is a configuration that can be applied without an error.
type Prepared struct {
	config  Config
	members []resolved
}

// Prepare checks a configuration, and changes nothing. Static names are resolved here, once: a name that cannot be
// resolved is an error.
func Prepare(ctx context.Context, config Config) (*Prepared, error) {
	if config.Clock == nil || config.Log == nil {
		return nil, errors.New("carrier: Clock and Log must be set")
	}
	config = config.withDefaults()
	if err := config.Node.Check(); err != nil {
		return nil, err
	}
	members, err := resolveStatic(ctx, &config)
	return &Prepared{config, members}, err
}

// New makes a carrier and its node.
func New(config Config) (*Carrier, error) {
	prepared, err := Prepare(context.Background(), config)
	if err != nil {
		return nil, err
	}
	return prepared.New()
}

// New makes a carrier and its node, from now on the zones' one. It fails only if Prepare would.
func (p *Prepared) New() (*Carrier, error) {
	config := p.config
	ctx, cancel := context.WithCancel(context.Background())
	c := &Carrier{
		clock: config.Clock, start: time.Now(), ctx: ctx, cancel: cancel,
		dialers: make(map[string]*dialer), watches: make(map[string]*watch), conns: make(map[*conn]struct{}),
		dialer: (&net.Dialer{Control: beforeConnect}).DialContext, link: config.Link,
	}
	c.sparing, c.peerLines = logs.NewSparing(lines{c}), logs.NewSparingOfPeers(lines{c})
	c.strict = newStrictRunner(c)
	config.Node.Driver, config.Node.Strict = c, c.strict
	c.config.Store(&config)
	c.flush = newFlusher(c)
	var err error
	if c.node, err = cluster.New(config.Node, c.clock.Now()); err != nil {
		cancel()
		return nil, err
	}
	c.setMembers(p.members)
	return c, nil
}

func (config Config) withDefaults() Config {
	if config.RetryInterval <= 0 {
		config.RetryInterval = defaultRetryInterval
	}
	if config.ReceiveBytes <= 0 {
		config.ReceiveBytes = defaultReceiveBytes
	}
	config.ReceiveBytes = max(config.ReceiveBytes, minReceiveBytes)
	if config.Node.Settings.TimeoutMS <= 0 {
		config.Node.Settings.TimeoutMS = cluster.Defaults.TimeoutMS
	}
	if config.Node.Settings.ConnectTimeoutMS <= 0 {
		config.Node.Settings.ConnectTimeoutMS = cluster.Defaults.ConnectTimeoutMS
	}
	return config
}

// Node is the core: shared zones must be used with its ClusterTime.
func (c *Carrier) Node() *cluster.Node { return c.node }

// Start starts dialling, flushing and the clock.
func (c *Carrier) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started || c.closed {
		return
	}
	c.started = true
	c.startedMS.Store(c.clock.Now().MonoMS)
	c.tasks.Go(c.tick)
	c.tasks.Go(c.flush.run)
	c.tasks.Go(c.strict.run)
	c.tasks.Go(c.strict.fence)
	for _, d := range c.dialers {
		c.discovered(d.target)
		c.run(d)
	}
	for _, w := range c.watches {
		if w.member.Resolve {
			c.tasks.Go(w.run)
		}
	}
}

// Reload applies a new configuration. Zones of the same object keep their place, connections to remaining members are
// kept unless the core needs a new hello. On an error nothing changes.
func (c *Carrier) Reload(config Config) error {
	prepared, err := Prepare(c.ctx, config)
	if err != nil {
		return err
	}
	return c.Apply(prepared)
}

// Apply is Reload of a prepared configuration. It fails only if Prepare would.
func (c *Carrier) Apply(p *Prepared) error {
	config := p.config
	config.Node.Driver, config.Node.Strict = c, c.strict
	if config.Node.Cluster != c.config.Load().Node.Cluster {
		c.unsettle()
	}
	if err := c.node.Reload(config.Node, c.clock.Now()); err != nil {
		return err
	}
	c.config.Store(&config)
	c.setMembers(p.members)
	c.strict.changed.Store(true)
	c.strict.poke()
	c.strict.pokeFence()
	return nil
}

// Quit sends pending changes, waits until the peers have acknowledged them or ctx ends, and says goodbye. It returns an
// error if something was left unsent. The carrier is closed afterwards.
func (c *Carrier) Quit(ctx context.Context) error {
	poll := time.NewTicker(quitPoll)
	defer poll.Stop()
	var err error
	for !c.node.Drained() && err == nil {
		c.flush.now()
		select {
		case <-poll.C:
		case <-ctx.Done():
			err = fmt.Errorf("zone_sync: some updates were not sent to all peers before shutdown: %w", ctx.Err())
		}
	}
	c.stopDialing()
	c.node.Stop()
	deadline := time.NewTimer(goodbyeTimeout)
	defer deadline.Stop()
	for c.open() > 0 {
		select {
		case <-poll.C:
			continue
		case <-deadline.C:
		}
		break
	}
	c.Close()
	return err
}

const (
	quitPoll = 2 * time.Millisecond
	// goodbyeTimeout bounds how long a stuck peer delays the end of the process after everything is sent.
	goodbyeTimeout = time.Second
)

// stopDialing prevents new connections. Existing ones continue.
func (c *Carrier) stopDialing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, d := range c.dialers {
		d.cancel()
	}
}

func (c *Carrier) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

// Close closes everything at once and waits for it.
func (c *Carrier) Close() {
	c.stopDialing()
	c.cancel() // before the connections end: nothing may dial any more, or announce that it will
	c.mu.Lock()
	started := c.started
	open := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, cn := range open {
		cn.close()
	}
	c.flush.stop()
	c.tasks.Wait()
	c.sparing.Close()
	c.peerLines.Close()
	if !started {
		c.flush.alarm.close()
	}
}

// tick calls what depends on time alone.
func (c *Carrier) tick() {
	for {
		every := c.tickEvery()
		// At the same moments as other nodes: what they send then arrives while this one is awake.
		timer := time.NewTimer(every - time.Duration(time.Now().UnixNano())%every)
		select {
		case <-timer.C:
			c.node.Tick(c.clock.Now())
			if !c.settled.Load() {
				c.readiness() // it records how long the node has been ready, even if no client asks
			}
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// tickEvery is fine enough for the smallest timeout; zones expire records every 100 ms.
func (c *Carrier) tickEvery() time.Duration {
	settings := c.config.Load().Node.Settings
	smallest := time.Duration(min(settings.TimeoutMS, settings.ConnectTimeoutMS)) * time.Millisecond
	return min(max(smallest/10, 5*time.Millisecond), 100*time.Millisecond)
}

func (c *Carrier) logf(level logs.Level, format string, args ...any) {
	c.config.Load().Log.Logf(level, format, args...)
}
