package h2client

import (
	"errors"
	"os"
	"time"

	"starling/web/forward"
	"starling/web/h1"
	"starling/web/h2"

	"golang.org/x/net/http2"
)

// StartHead starts the head of the next request.
func (w *Wire) StartHead(method []byte, secure bool, path, authority []byte) {
	w.head = h2.AppendRequest(w.head[:0], method, secure, path, authority)
}

// Field adds a field to the head.
func (w *Wire) Field(id h1.Known, name, value []byte) {
	w.head = h2.AppendField(w.head, id, name, value)
}

// Request describes a request besides the fields of its head.
type Request struct {
	forward.Framing
	// HeadBytes limits the head of the response.
	HeadBytes int
	// HeadOnly means that the response has no body (HEAD).
	HeadOnly bool
}

// SendHead starts a stream with the fields added before, and sends the first piece of its body.
func (w *Wire) SendHead(q Request, piece []byte) error {
	whole := !q.Chunked && q.Length <= int64(len(piece))
	id, err := w.begin(&q)
	if err != nil {
		return err
	}
	w.writing.Lock()
	w.out.Reset()
	w.greet()
	w.writeHead(id, whole && len(piece) == 0)
	n := w.take(len(piece))
	if n > 0 {
		w.writeData(id, piece[:n], whole && n == len(piece))
	}
	err = w.flush(false)
	w.writing.Unlock()
	if err != nil || n == len(piece) {
		return err
	}
	return w.SendBody(piece[n:], whole)
}

// begin starts a stream.
func (w *Wire) begin(q *Request) (id uint32, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return 0, forward.Unprocessedf("upstream closed keepalive connection")
	}
	id = w.nextID
	w.nextID += 2
	w.stream = stream{id: id, headBytes: q.HeadBytes, headOnly: q.HeadOnly, declared: -1,
		sendWindow: w.initialWindow, recvWindow: windowBytes}
	return id, nil
}

// greet queues the preface of a new connection. Must be called with writing held.
func (w *Wire) greet() {
	if w.greeted {
		return
	}
	w.greeted = true
	w.out.WriteString(http2.ClientPreface)
	w.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowBytes})
	w.framer.WriteWindowUpdate(0, windowBytes-defaultWindow)
}

// writeHead queues the head of the request.
func (w *Wire) writeHead(id uint32, end bool) {
	rest := w.head
	for first := true; first || len(rest) > 0; first = false {
		piece := rest[:min(len(rest), frameBytes)]
		rest = rest[len(piece):]
		last := len(rest) == 0
		if first {
			w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: piece, EndStream: end,
				EndHeaders: last})
		} else {
			w.framer.WriteContinuation(id, last, piece)
		}
	}
	if end {
		w.mu.Lock()
		w.stream.sentAll = true
		w.mu.Unlock()
	}
}

// writeData queues a piece of the body.
func (w *Wire) writeData(id uint32, p []byte, end bool) {
	for first := true; first || len(p) > 0; first = false {
		n := min(len(p), frameBytes)
		w.framer.WriteData(id, end && n == len(p), p[:n])
		p = p[n:]
	}
	if end {
		w.mu.Lock()
		w.stream.sentAll = true
		w.mu.Unlock()
	}
}

// take takes up to n bytes of the windows, without waiting.
func (w *Wire) take(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeWindow(n)
}

func (w *Wire) takeWindow(n int) int {
	n = int(max(0, min(int64(n), w.stream.sendWindow, w.sendWindow)))
	w.stream.sendWindow -= int64(n)
	w.sendWindow -= int64(n)
	return n
}

// errResponded ends the sending of a body that the server does not want any more: its response is complete.
var errResponded = errors.New("upstream has responded")

// awaitWindow takes up to n bytes of the windows, at least one, and returns the stream to which they belong.
func (w *Wire) awaitWindow(n int) (id uint32, taken int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		s := &w.stream
		switch {
		case s.failure != nil:
			return 0, 0, s.failure
		case s.ended:
			return 0, 0, errResponded
		}
		if taken = w.takeWindow(n); taken > 0 || n == 0 {
			return s.id, taken, nil
		}
		if !w.writes.sleep(&w.mu) {
			return 0, 0, os.ErrDeadlineExceeded
		}
	}
}

// SendBody sends another piece of the body, as the windows of the server allow.
func (w *Wire) SendBody(piece []byte, last bool) error {
	for first := true; first && last || len(piece) > 0; first = false {
		id, n, err := w.awaitWindow(len(piece))
		if err != nil {
			return err
		}
		w.writing.Lock()
		w.out.Reset()
		w.writeData(id, piece[:n], last && n == len(piece))
		err = w.flush(false)
		w.writing.Unlock()
		if err != nil {
			return err
		}
		piece = piece[n:]
	}
	return nil
}

// flush writes the queued frames. reply means that no request waits for them. Must be called with writing held.
func (w *Wire) flush(reply bool) error {
	w.mu.Lock()
	if w.dead != nil {
		defer w.mu.Unlock()
		return w.dead
	}
	until := w.writes.until
	if reply {
		until = time.Now().Add(replyTimeout)
	}
	w.sending = !reply
	w.conn.SetWriteDeadline(until) // fails on a closed connection, as the write will
	w.mu.Unlock()
	n, err := w.conn.Write(w.out.Bytes())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = false
	w.sent += int64(n)
	if err != nil {
		w.goneAway = true // half a frame may have been sent. What the server has sent can still be read.
	}
	return err
}
