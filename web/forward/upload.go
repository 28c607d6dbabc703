package forward

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"starling/web"
	"starling/web/h1"
)

// upload sends the rest of a large body while the response is received: servers can respond before they have all of it,
// and some clients wait for that.
type upload struct {
	conn *connection
	rest remainder
	stop atomic.Bool
	done chan struct{}
	// failed is the error of the body, complete means that the server got all of it; both only after done.
	failed   error
	complete bool
	took     bool // bytes that arrived from the client meanwhile
}

// remainder is the unsent part of a body: the kept part, in memory or in a file, then what the client has not sent yet.
type remainder struct {
	memory []byte
	file   *web.BodyFile
	at     int64 // in the file
	client bool
}

func (m *remainder) kept() bool { return len(m.memory) > 0 || m.file != nil && m.at < m.file.Size }

func (m *remainder) empty() bool { return !m.kept() && !m.client }

// next returns the next piece of the kept part; slab is memory for pieces from a file.
func (m *remainder) next(slab []byte) ([]byte, error) {
	if m.file == nil {
		piece := m.memory[:min(len(m.memory), len(slab))]
		m.memory = m.memory[len(piece):]
		return piece, nil
	}
	n, err := m.file.ReadAt(slab, m.at)
	m.at += int64(n)
	return slab[:n], err
}

// pass starts to send the rest of the body. It also sends 100 Continue to the client, because only one goroutine may
// write to it.
func (x *Exchange) pass(rest remainder) (verdict, int) {
	u := &upload{conn: x.conn, rest: rest, done: make(chan struct{})}
	slab := h1.TakeSlab(x.l.readBytes)
	if rest.client && !rest.kept() && x.Request.Seen.Has(h1.HeaderExpect) {
		n, err := x.Request.ReadBody(slab.Mem)
		if err != nil && err != io.EOF {
			slab.GiveBack()
			return x.bodyFailed(err)
		}
		u.took = n > 0
		x.streamed = x.streamed || u.took
		if err := u.write(x, slab.Mem[:n], false); err != nil {
			slab.GiveBack()
			return x.sendFailed(err)
		}
	}
	x.upload = u
	x.Request.LendBody(rest.client)
	go u.run(x, x.Request, slab)
	return tryAccepted, 0
}

// run uses no changing state of the exchange, and of the request only its body.
func (u *upload) run(x *Exchange, r *web.Request, slab *h1.Slab) {
	defer close(u.done)
	defer slab.GiveBack()
	for u.rest.kept() || u.rest.client && !r.BodyDone() {
		if u.stop.Load() {
			return
		}
		piece, err := u.next(r, slab.Mem)
		last := (err == nil || err == io.EOF) && !u.rest.kept() && (!u.rest.client || r.BodyDone())
		if u.write(x, piece, last) != nil {
			return // the server has closed: the reader finds out whether it responded before
		}
		if err != nil && err != io.EOF {
			u.failed = err
			u.conn.SetReadDeadline(past) // wakes the reader up
			return
		}
		if last {
			u.complete = true
			return
		}
	}
	u.complete = u.write(x, nil, true) == nil
}

func (u *upload) next(r *web.Request, slab []byte) ([]byte, error) {
	if u.rest.kept() {
		return u.rest.next(slab)
	}
	n, err := r.ReadBody(slab)
	u.took = u.took || n > 0
	return slab[:n], err
}

func (u *upload) write(x *Exchange, p []byte, last bool) error {
	if len(p) == 0 && !last {
		return nil
	}
	if err := u.conn.armWrite(x.l.clock.Now().MonoMS, x.l.sendTimeout); err != nil {
		return err
	}
	return u.conn.wire.SendBody(p, last)
}

// errUploadFailed ends the wait for a response to a request whose body cannot be read, from its client or its file.
var errUploadFailed = errors.New("cannot read the request body")

// uploading reports whether the body is still being sent; an error in the body ends it.
func (x *Exchange) uploading() (bool, error) {
	if x.upload == nil {
		return false, nil
	}
	select {
	case <-x.upload.done:
		if x.upload.failed != nil {
			return false, errUploadFailed
		}
		return false, nil
	default:
		return true, nil
	}
}

// nudge is how long an upload has to end by itself, and the interval of reminders.
const nudge = 2 * time.Millisecond

// endUpload stops sending the body; afterwards unsent reports whether part of it remains.
func (x *Exchange) endUpload() {
	u := x.upload
	if u == nil {
		return
	}
	timer := time.NewTicker(nudge)
	defer timer.Stop()
	for ended := false; !ended; {
		select {
		case <-u.done:
			ended = true
		case <-timer.C:
			// It is repeated, because deadlines are set between the check of stop and a read or write.
			u.stop.Store(true)
			if u.rest.client {
				x.Request.InterruptBody()
			}
			u.conn.SetWriteDeadline(past)
		}
	}
	if u.stop.Load() {
		if u.rest.client {
			x.Request.ResumeBody()
		}
		u.conn.writeUntil.Forget()
	}
	x.Request.LendBody(false)
	x.unsent, x.streamed = !u.complete, x.streamed || u.took
	x.upload, x.uploadFailed = nil, u.failed
}
