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
	"strings"
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
	if t.member.link != nil {
		return t.member.link.Name
	}
	if t.member.Unix != "" {
		return "unix:" + t.member.Unix
	}
	return t.address.String()
}

// host is the address without the port.
func (t target) host() string {
	if t.member.link != nil {
		return t.member.link.Name
	}
	if t.member.Unix != "" {
		return unixHost
	}
	return t.address.Addr().WithZone("").String()
}

// dialer keeps this node connected to one address.
type dialer struct {
	carrier *Carrier
	target  target
	ctx     context.Context
	cancel  context.CancelFunc
	nudge   chan struct{}

	id atomic.Uint64 // of the node last met there

	mu      sync.Mutex
	state   dialState
	tried   bool // once at least, to its end
	session *cluster.Session
	trouble string
	faulty  bool // a peer is there, and the two do not agree
}

type dialState string

const (
	connecting dialState = "connecting"
	connected  dialState = "connected"
	isSelf     dialState = "self"
	isAlias    dialState = "alias"
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

func (c *Carrier) newDialer(t target) *dialer {
	ctx, cancel := context.WithCancel(c.ctx)
	d := &dialer{carrier: c, target: t, ctx: ctx, cancel: cancel, nudge: make(chan struct{}, 1), state: connecting}
	if c.link.leadsTo(t.key()) {
		d.state, d.tried = isSelf, true
	}
	return d
}

// run starts its goroutine. Called with mu held.
func (c *Carrier) run(d *dialer) { c.tasks.Go(d.run) }

// kick makes a disconnected dialer dial at once, and reports whether it was disconnected.
func (d *dialer) kick() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil || d.state == isSelf {
		return false
	}
	select {
	case d.nudge <- struct{}{}:
	default: // it is about to
	}
	return true
}

// hold records the established session, or its end.
func (d *dialer) hold(s *cluster.Session) {
	d.mu.Lock()
	d.session = s
	select {
	case <-d.nudge: // the requested nudge has happened
	default:
	}
	d.mu.Unlock()
	if s != nil && d.ctx.Err() != nil {
		s.Leave() // leave saw no session yet
	}
}

// leave ends the dialer for good: the address is no longer a member. The context ends first: otherwise the dialer would
// dial again if the peer closes the connection earlier after the goodbye.
func (d *dialer) leave() {
	d.cancel()
	d.mu.Lock()
	s := d.session
	d.mu.Unlock()
	if s != nil {
		s.Leave()
	}
}

// run dials, carries, and dials again.
func (d *dialer) run() {
	for d.ctx.Err() == nil {
		wait := askAgain
		if !d.avoidsLinked() {
			wait = d.once()
		}
		d.mu.Lock()
		d.tried = true
		d.mu.Unlock()
		d.carrier.expect()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-d.nudge:
		case <-d.ctx.Done():
		}
		timer.Stop()
	}
}

// once makes one connection and returns how long to wait before the next.
func (d *dialer) once() (wait time.Duration) {
	config := d.carrier.config.Load()
	dialled := d.connect(config)
	if err := dialled.err; err != nil {
		d.failed(config, logs.Warn, "cannot connect to peer", err, !isAbsence(err))
		return config.RetryInterval
	}
	began := time.Now()
	about := cluster.Connection{
		Outgoing: true, Address: d.target.key(), Host: d.target.host(), Subject: dialled.subject,
		StartedMonoMS: dialled.since, Sibling: d.target.member.link != nil,
	}
	session, err := d.carrier.carry(dialled.conn, about, d)
	if d.ctx.Err() != nil || session == nil {
		return config.RetryInterval
	}
	d.id.Store(uint64(session.PeerID()))
	ended := session.Ended()
	switch {
	case ended.Reason == wire.ReasonSelf:
		d.become(isSelf, "")
		d.carrier.logf(logs.Info, "zone_sync: %s is this node itself", d.target.key())
		return askAgain
	case ended.Reason == wire.ReasonAlias:
		d.become(isAlias, err.Error())
		d.carrier.logf(
			logs.Info,
			"zone_sync: %s is another address of node %s: %v",
			d.target.key(),
			session.PeerID(),
			err,
		)
		return askAgain
	case ended.Reason == wire.ReasonReload:
		d.become(connecting, "")
		return reloadPause
	case session.WasEstablished():
		d.become(connecting, err.Error())
		wait := afterLoss(time.Since(began), config.RetryInterval)
		if ended.Theirs && ended.Reason == wire.ReasonStopping {
			wait = config.RetryInterval // it may still listen, and would close the connection without a word
		}
		d.carrier.peerLines.LogReasonf(
			levelOf(ended, logs.Notice),
			d.target.key()+" lost",
			reasonOf(err),
			"zone_sync: lost connection to peer %s (node %s): %v; reconnecting in %v",
			d.target.key(),
			session.PeerID(),
			err,
			wait,
		)
		return wait
	}
	if errors.As(err, new(reconnection)) { // before the hello was answered
		d.become(connecting, err.Error())
		return reloadPause
	}
	if errors.Is(err, errClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) { // whether the hello was read before
		err = errTurnedAway
	}
	d.failed(config, levelOf(ended, logs.Warn), "cannot sync with peer", err, !endedByAbsence(ended))
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
func (d *dialer) become(state dialState, trouble string) {
	d.mu.Lock()
	d.state, d.trouble, d.faulty = state, trouble, false
	d.mu.Unlock()
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
func (d *dialer) failed(config *Config, level logs.Level, what string, err error, faulty bool) {
	d.mu.Lock()
	repeated := d.trouble == err.Error()
	d.state, d.trouble, d.faulty = connecting, err.Error(), faulty
	d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	const line = "zone_sync: %s %s: %v; retrying every %v"
	if repeated {
		d.carrier.logf(logs.Debug, line, what, d.target.key(), err, config.RetryInterval)
		return
	}
	why := d.target.key() + " failed"
	d.carrier.peerLines.LogReasonf(level, why, reasonOf(err), line, what, d.target.key(), err, config.RetryInterval)
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
func (d *dialer) connect(config *Config) attempt {
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	results := make(chan attempt)
	running := 0
	var last time.Time
	start := func() {
		running++
		last = time.Now()
		go func() {
			a := d.dial(ctx, config)
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
		case <-d.nudge:
			if running < maxAttempts && time.Since(last) > nudgePause {
				start()
			}
		case <-ctx.Done():
			return attempt{err: ctx.Err()}
		}
	}
}

// dial makes one connection, with its TLS handshake, within the connect timeout.
func (d *dialer) dial(ctx context.Context, config *Config) attempt {
	timeout := time.Duration(config.Node.Settings.ConnectTimeoutMS) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	since := d.carrier.clock.Now().MonoMS
	if link := d.target.member.link; link != nil {
		nc, err := link.Dial()
		return attempt{conn: nc, subject: link.Subject, since: since, err: err}
	}
	network, address := "tcp", d.target.address.String()
	if d.target.member.Unix != "" {
		network, address = "unix", d.target.member.Unix
	}
	nc, err := d.carrier.dialer(ctx, network, address)
	if err != nil {
		return attempt{err: plain(err, timeout)}
	}
	if config.ClientTLS == nil {
		return attempt{conn: nc, since: since}
	}
	settings := config.ClientTLS(d.target.member, d.target.address)
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

func sortedDialers(dialers map[string]*dialer) []*dialer {
	return slices.SortedFunc(
		maps.Values(dialers),
		func(a, b *dialer) int { return strings.Compare(a.target.key(), b.target.key()) },
	)
}
