package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/cluster"
	"starling/cluster/wire"
	"starling/logs"
	"starling/nginx/errno"
	"starling/ssl"
)

// target is one address of a member.
type target struct {
	member  Member
	address netip.AddrPort // not valid for a unix socket
}

func (t target) key() string {
	if t.member.Unix != "" {
		return "unix:" + t.member.Unix
	}
	return t.address.String()
}

// host is the address without the port.
func (t target) host() string {
	if t.member.Unix != "" {
		return unixHost
	}
	return t.address.Addr().WithZone("").String()
}

// link keeps this node connected to one address.
type link struct {
	carrier *Carrier
	target  target
	ctx     context.Context
	cancel  context.CancelFunc
	nudge   chan struct{}

	id atomic.Uint64 // of the node last met there

	mu      sync.Mutex
	state   linkState
	tried   bool // once at least, to its end
	session *cluster.Session
	trouble string
	faulty  bool // a peer is there, and the two do not agree
}

type linkState string

const (
	connecting linkState = "connecting"
	connected  linkState = "connected"
	isSelf     linkState = "self"
	isAlias    linkState = "alias"
)

const (
	// askAgain is how often an address is tried that reached this node itself, or an already connected one: addresses
	// move.
	askAgain = 30 * time.Second
	// reloadPause lets a peer that reloads finish before it is dialled again.
	reloadPause = 10 * time.Millisecond
	// nudgePause is the age from which an attempt is doubted when its host is known to be up.
	nudgePause = 100 * time.Millisecond
	// maxAttempts is how many attempts to one address may overlap.
	maxAttempts = 8
)

func (c *Carrier) newLink(t target) *link {
	ctx, cancel := context.WithCancel(c.ctx)
	return &link{carrier: c, target: t, ctx: ctx, cancel: cancel, nudge: make(chan struct{}, 1), state: connecting}
}

// run starts the link's goroutine. Called with mu held.
func (c *Carrier) run(l *link) { c.tasks.Go(l.run) }

// kick makes a disconnected link dial at once, and reports whether it was disconnected.
func (l *link) kick() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil || l.state == isSelf {
		return false
	}
	select {
	case l.nudge <- struct{}{}:
	default: // it is about to
	}
	return true
}

// hold records the established session, or its end.
func (l *link) hold(s *cluster.Session) {
	l.mu.Lock()
	l.session = s
	select {
	case <-l.nudge: // the requested nudge has happened
	default:
	}
	l.mu.Unlock()
	if s != nil && l.ctx.Err() != nil {
		s.Leave() // leave saw no session yet
	}
}

// leave ends the link for good: the address is no longer a member. The context ends first: otherwise the link would
// dial again if the peer closes the connection earlier after the goodbye.
func (l *link) leave() {
	l.cancel()
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s != nil {
		s.Leave()
	}
}

// run dials, carries, and dials again.
func (l *link) run() {
	for l.ctx.Err() == nil {
		wait := l.once()
		l.mu.Lock()
		l.tried = true
		l.mu.Unlock()
		l.carrier.expect()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.nudge:
		case <-l.ctx.Done():
		}
		timer.Stop()
	}
}

// once makes one connection and returns how long to wait before the next.
func (l *link) once() (wait time.Duration) {
	config := l.carrier.config.Load()
	dialled := l.connect(config)
	if err := dialled.err; err != nil {
		l.failed(config, logs.Warn, "cannot connect to peer", err, !isAbsence(err))
		return config.RetryInterval
	}
	began := time.Now()
	link := cluster.Link{
		Outgoing: true, Address: l.target.key(), Host: l.target.host(), Subject: dialled.subject,
		StartedMonoMS: dialled.since,
	}
	session, err := l.carrier.carry(dialled.conn, link, l)
	if l.ctx.Err() != nil || session == nil {
		return config.RetryInterval
	}
	l.id.Store(uint64(session.PeerID()))
	ended := session.Ended()
	switch {
	case ended.Reason == wire.ReasonSelf:
		l.become(isSelf, "")
		l.carrier.logf(logs.Info, "zone_sync: %s is this node itself", l.target.key())
		return askAgain
	case ended.Reason == wire.ReasonAlias:
		l.become(isAlias, err.Error())
		l.carrier.logf(
			logs.Info,
			"zone_sync: %s is another address of node %s: %v",
			l.target.key(),
			session.PeerID(),
			err,
		)
		return askAgain
	case ended.Reason == wire.ReasonReload:
		l.become(connecting, "")
		return reloadPause
	case session.WasEstablished():
		l.become(connecting, err.Error())
		wait := afterLoss(time.Since(began), config.RetryInterval)
		if ended.Theirs && ended.Reason == wire.ReasonStopping {
			wait = config.RetryInterval // it may still listen, and would close the connection without a word
		}
		l.carrier.peerLines.LogReasonf(
			levelOf(ended, logs.Notice),
			l.target.key()+" lost",
			reasonOf(err),
			"zone_sync: lost connection to peer %s (node %s): %v; reconnecting in %v",
			l.target.key(),
			session.PeerID(),
			err,
			wait,
		)
		return wait
	}
	if errors.Is(err, errClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) { // whether the hello was read before
		err = errTurnedAway
	}
	l.failed(config, levelOf(ended, logs.Warn), "cannot sync with peer", err, !endedByAbsence(ended))
	return config.RetryInterval
}

// afterLoss returns the delay before reconnecting after the loss of a connection of some duration: none if it was
// longer than the interval, so that there is never more than one attempt per interval.
func afterLoss(stood, interval time.Duration) time.Duration {
	if stood > interval {
		return 0
	}
	return interval
}

// become sets the state after a connection.
func (l *link) become(state linkState, trouble string) {
	l.mu.Lock()
	l.state, l.trouble, l.faulty = state, trouble, false
	l.mu.Unlock()
}

// levelOf is the level of a line about an end: the core has logged why it rejected a peer, and one line is enough.
func levelOf(ended *cluster.Ending, level logs.Level) logs.Level {
	if ended.Quiet {
		return logs.Info
	}
	return level
}

// failed records a failed attempt. A failure is logged once, until another failure occurs or a connection was
// established; failures that alternate are logged once a minute each, then counted.
func (l *link) failed(config *Config, level logs.Level, what string, err error, faulty bool) {
	l.mu.Lock()
	repeated := l.trouble == err.Error()
	l.state, l.trouble, l.faulty = connecting, err.Error(), faulty
	l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	const line = "zone_sync: %s %s: %v; retrying every %v"
	if repeated {
		l.carrier.logf(logs.Debug, line, what, l.target.key(), err, config.RetryInterval)
		return
	}
	why := l.target.key() + " failed"
	l.carrier.peerLines.LogReasonf(level, why, reasonOf(err), line, what, l.target.key(), err, config.RetryInterval)
}

// attempt is the result of one dial.
type attempt struct {
	conn    net.Conn
	subject string // of the peer's certificate, if it was verified
	since   int64
	err     error
}

// connect dials until one attempt succeeds or all have failed. Attempts overlap: a host that comes back answers the
// next one at once, while the previous one still waits out the kernel's back-off for lost SYNs.
func (l *link) connect(config *Config) attempt {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	results := make(chan attempt)
	running := 0
	var last time.Time
	start := func() {
		running++
		last = time.Now()
		go func() {
			a := l.dial(ctx, config)
			select {
			case results <- a:
			case <-ctx.Done():
				if a.conn != nil {
					a.conn.Close()
				}
			}
		}()
	}
	start()
	again := time.NewTicker(config.RetryInterval)
	defer again.Stop()
	for {
		select {
		case a := <-results:
			running--
			if a.err == nil || running == 0 {
				return a
			}
		case <-again.C:
			if running < maxAttempts {
				start()
			}
		case <-l.nudge:
			if running < maxAttempts && time.Since(last) > nudgePause {
				start()
			}
		case <-ctx.Done():
			return attempt{err: ctx.Err()}
		}
	}
}

// dial makes one connection, with its TLS handshake, within the connect timeout.
func (l *link) dial(ctx context.Context, config *Config) attempt {
	timeout := time.Duration(config.Node.Settings.ConnectTimeoutMS) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	since := l.carrier.clock.Now().MonoMS
	network, address := "tcp", l.target.address.String()
	if l.target.member.Unix != "" {
		network, address = "unix", l.target.member.Unix
	}
	nc, err := l.carrier.dialer(ctx, network, address)
	if err != nil {
		return attempt{err: plain(err, timeout)}
	}
	if config.ClientTLS == nil {
		return attempt{conn: nc, since: since}
	}
	settings := config.ClientTLS(l.target.member, l.target.address)
	if settings == nil {
		return attempt{conn: nc, since: since}
	}
	secured := tls.Client(nc, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		nc.Close()
		return attempt{err: fmt.Errorf("TLS handshake: %w", plain(err, timeout))}
	}
	done := attempt{conn: secured, since: since}
	if !settings.InsecureSkipVerify || settings.VerifyConnection != nil {
		done.subject = ssl.Identity(secured.ConnectionState().PeerCertificates[0])
	}
	return done
}

var errTimedOut = errors.New("timed out")

// plain removes the addresses from a net error, because the log line already has them. A TLS alert has none, and is
// reported as the peer's.
func plain(err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w after %v", errTimedOut, timeout)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "remote error" {
		if op.Timeout() {
			return fmt.Errorf("%w after %v", errTimedOut, timeout)
		}
		return errno.Worded(op.Err)
	}
	return err
}

func sortedLinks(links map[string]*link) []*link {
	list := make([]*link, 0, len(links))
	for _, l := range links {
		list = append(list, l)
	}
	sort.Slice(list, func(i, k int) bool { return list[i].target.key() < list[k].target.key() })
	return list
}
