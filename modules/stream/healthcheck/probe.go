package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"starling/nginx/errno"
	"starling/stream"
	"starling/upstream"
	"starling/upstream/health"
)

const (
	// maxReadBytes bounds the data examined, however large proxy_buffer_size is: so much is held for each check in
	// progress.
	maxReadBytes = 256 << 10
	// firstReadBytes is enough for nearly all responses.
	firstReadBytes = 2 << 10
	// lookEvery is the pause between two looks at data that keep arriving in small pieces.
	lookEvery = 50 * time.Millisecond
	// icmpTimeout is how long an ICMP error about a datagram may take. It comes within a round trip, so this does not
	// use all of health_check_timeout, as NGINX Plus does.
	icmpTimeout = time.Second
	// maxDatagramBytes is the largest that UDP can carry, maxDatagrams how many are examined: a server may answer
	// something else first.
	maxDatagramBytes = 64 << 10
	maxDatagrams     = 64
)

// defaultDatagram is what NGINX Plus sends over UDP without a match block.
var defaultDatagram = []byte("nginx health check")

// prober makes the checks of one directive.
type prober struct {
	sessions *stream.Standalone
	route    *stream.Route
	tests    *match
	timeout  time.Duration
	maxBytes int
}

func newProber(sessions *stream.Standalone, route *stream.Route, tests *match, timeout time.Duration) *prober {
	return &prober{sessions: sessions, route: route, tests: tests, timeout: timeout,
		maxBytes: int(min(max(route.BufferBytes, 1), maxReadBytes))}
}

const (
	stepSending   = "sending data to upstream"
	stepReceiving = "checking response"
)

// Forget has nothing to release.
func (p *prober) Forget(*health.Target) {}

// Probe connects and exchanges data.
func (p *prober) Probe(ctx context.Context, t *health.Target) (step string, err error) {
	deadline := time.Now().Add(p.timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	s := p.sessions.Session()
	c, header, err := p.route.Dial(ctx, s, t.Server, t.Addr)
	if err != nil {
		step = "connecting to upstream"
		var failed *upstream.DialError
		if errors.As(err, &failed) {
			step, err = failed.Step(), errors.New(failed.Reason())
		}
		return step, err
	}
	defer c.Close() // a failure cannot be handled any more
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.IsUDP() {
		return p.exchangeDatagrams(c, header, deadline)
	}
	step = "connecting to upstream"
	if len(p.tests.send) > 0 {
		step = stepSending
		if _, err := c.Write(p.tests.send); err != nil {
			return step, reason("send", err)
		}
	}
	if p.tests.expects {
		return stepReceiving, p.receive(ctx, c, deadline)
	}
	return step, nil
}

// receive reads until the data pass, at most so many bytes.
func (p *prober) receive(ctx context.Context, c net.Conn, deadline time.Time) error {
	data := make([]byte, 0, min(firstReadBytes, p.maxBytes))
	looked, lookedAt := 0, time.Time{}
	for {
		until := deadline
		if len(data) > looked { // then read on for a moment
			until = earlier(until, lookedAt.Add(lookEvery))
		}
		if err := c.SetReadDeadline(until); err != nil {
			return reason("recv", err)
		}
		if ctx.Err() != nil { // before SetReadDeadline, which has undone the end of ctx
			return reason("recv", os.ErrDeadlineExceeded)
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, min(len(data), p.maxBytes-len(data)))
		}
		n, err := c.Read(data[len(data):min(cap(data), p.maxBytes)])
		data = data[:len(data)+n]
		waits := err == nil && len(data) < p.maxBytes
		if len(data) > looked && (!waits || time.Since(lookedAt) >= lookEvery) {
			if ok, failed := p.tests.accepts(data); ok || failed != nil {
				return failed
			}
			looked, lookedAt = len(data), time.Now()
		}
		switch {
		case len(data) == p.maxBytes:
			return errUnexpected
		case err == io.EOF:
			if len(data) > 0 {
				return errUnexpected
			}
			return errors.New("upstream prematurely closed connection")
		case err != nil && !(isTimeout(err) && time.Now().Before(deadline)):
			return reason("recv", err)
		}
	}
}

var errUnexpected = errors.New("the server sent other data than expected")

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// exchangeDatagrams sends a datagram and waits for an answer, or for the absence of an ICMP error.
func (p *prober) exchangeDatagrams(c net.Conn, header []byte, deadline time.Time) (step string, err error) {
	send := p.tests.send
	if send == nil {
		send = defaultDatagram
	}
	if _, err := c.Write(append(header, send...)); err != nil {
		return stepSending, reason("send", err)
	}
	if !p.tests.expects {
		deadline = earlier(deadline, time.Now().Add(icmpTimeout))
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return stepSending, reason("recv", err)
	}
	data := make([]byte, p.datagramBytes())
	for range maxDatagrams {
		n, err := c.Read(data)
		switch {
		case isTimeout(err) && !p.tests.expects:
			return stepSending, nil
		case err != nil:
			return stepReceiving, reason("recv", err)
		case !p.tests.expects:
			return stepReceiving, nil
		}
		if ok, err := p.tests.accepts(data[:n]); ok || err != nil {
			return stepReceiving, err
		}
	}
	return stepReceiving, errUnexpected
}

// datagramBytes is the room for one datagram; what exceeds it is cut off and not examined.
func (p *prober) datagramBytes() int {
	if !p.tests.expects {
		return 1
	}
	return min(p.maxBytes, maxDatagramBytes)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// reason words a failure for the log.
func reason(call string, err error) error {
	if isTimeout(err) {
		return errors.New("upstream timed out (110: Connection timed out)")
	}
	return errors.New(errno.Failure(call, err))
}
