package h2client

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"starling/web/forward"
	"starling/web/h1"

	"golang.org/x/net/http2"
)

// inBuffer lets the framer read frames that have arrived completely.
type inBuffer struct{ *h1.Buffer }

func (b inBuffer) Read(p []byte) (int, error) {
	n := copy(p, b.Unread())
	if n == 0 && len(p) > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	b.Consume(n)
	return n, nil
}

// replies are the frames that the server waits for.
type replies struct {
	settings int
	pings    [][8]byte
	update   update
}

// read reads frames until the connection ends.
func (w *Wire) read() {
	err := w.fill()
	for err == nil {
		if err = w.readFrames(); err == nil {
			err = w.reply()
		}
		if err == nil {
			err = w.fill()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var fault *forward.Fault
	if s := &w.stream; errors.As(err, &fault) && s.id != 0 && s.failure == nil {
		s.failure = err // even if the response was complete
	}
	w.die(err)
	w.in.Detach()
}

// fill reads once. If nothing is unread, it sleeps without memory.
func (w *Wire) fill() error {
	w.in.Recycle()
	if len(w.in.Unread()) == 0 {
		return w.in.Wait()
	}
	return w.in.Fill()
}

const frameHeadBytes = 9

// frameWaits reports whether a whole frame has arrived.
func (w *Wire) frameWaits() (bool, error) {
	b := w.in.Unread()
	if len(b) < frameHeadBytes {
		return false, nil
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if length > frameBytes {
		return false, forward.Faultf("upstream sent too large http2 frame: %d%s", length, otherProtocol(b))
	}
	return len(b) >= frameHeadBytes+length, nil
}

// otherProtocol says what to do if the bytes in place of a frame are of a protocol that servers speak by mistake.
func otherProtocol(b []byte) string {
	const alert, handshake = 0x15, 0x16 // of TLS, whose version 3 follows
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		return fmt.Sprintf(" (%q: the server does not speak HTTP/2; enable HTTP/2 there, or use proxy_pass with "+
			"\"proxy_http_version 1.1\")", line[:min(len(line), shownBytes)])
	case (b[0] == alert || b[0] == handshake) && b[1] == 3:
		return " (the server expects TLS: use https:// or grpcs://)"
	}
	return ""
}

// shownBytes is how much of a line of another protocol is logged.
const shownBytes = 64

// readFrames handles all frames that have arrived, so that the request sees all of their effects or none.
func (w *Wire) readFrames() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		waits, err := w.frameWaits()
		if err != nil || !waits {
			w.reads.signal()
			w.writes.signal()
			return err
		}
		if w.dead != nil {
			return w.dead
		}
		f, err := w.framer.ReadFrame()
		if err != nil {
			return forward.Faultf("upstream sent invalid http2 frame: %v", err)
		}
		if err = w.handle(f); err != nil {
			return err
		}
	}
}

// reply sends the replies to what was read.
func (w *Wire) reply() error {
	r := &w.replies
	if r.settings == 0 && len(r.pings) == 0 && r.update == (update{}) {
		return nil
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	w.out.Reset()
	w.greet() // a server can send its settings before it gets ours
	for ; r.settings > 0; r.settings-- {
		w.framer.WriteSettingsAck()
	}
	for _, data := range r.pings {
		w.framer.WritePing(true, data)
	}
	w.writeUpdate(r.update)
	r.pings, r.update = r.pings[:0], update{}
	return w.flush(true)
}

// handle handles one frame. A Fault ends the connection.
func (w *Wire) handle(f http2.Frame) error {
	h := f.Header()
	s := &w.stream
	if h.StreamID != 0 && h.StreamID != s.id {
		return w.handleOther(h)
	}
	if h.StreamID != 0 {
		s.received += int64(h.Length) + frameHeadBytes
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return w.handleData(f)
	case *http2.HeadersFrame:
		return w.handleHeaders(f)
	case *http2.ContinuationFrame:
		return w.continueBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.RSTStreamFrame:
		return w.handleReset(f.ErrCode)
	case *http2.GoAwayFrame:
		return w.handleGoAway(f)
	case *http2.WindowUpdateFrame:
		return w.handleWindow(f)
	case *http2.SettingsFrame:
		return w.handleSettings(f)
	case *http2.PingFrame:
		return w.handlePing(f)
	case *http2.PushPromiseFrame:
		return forward.Faultf("upstream sent unexpected push promise frame")
	}
	return nil // PRIORITY, and frames unknown to us
}

// handleOther handles a frame of a stream that is not the present one: what is late for an earlier one is ignored.
func (w *Wire) handleOther(h http2.FrameHeader) error {
	earlier := h.StreamID%2 == 1 && h.StreamID < w.nextID
	switch h.Type {
	case http2.FrameWindowUpdate, http2.FrameRSTStream:
		if earlier {
			return nil
		}
	case http2.FramePriority:
		return nil
	case http2.FrameData:
		return forward.Faultf("upstream sent data frame for unknown stream %d", h.StreamID)
	}
	return forward.Faultf("upstream sent frame for unknown stream %d", h.StreamID)
}

func (w *Wire) handleData(f *http2.DataFrame) error {
	s := &w.stream
	length, data := int64(f.Header().Length), f.Data()
	switch {
	case s.ended:
		return forward.Faultf("upstream sent frame for closed stream %d", s.id)
	case !s.final:
		return forward.Faultf("upstream sent unexpected http2 frame: %d", f.Header().Type)
	case length > s.recvWindow:
		return forward.Faultf("upstream violated stream flow control, received %d data frame with window %d",
			length, s.recvWindow)
	}
	s.recvWindow -= length
	s.arrived += int64(len(data))
	if s.declared >= 0 && s.arrived > s.declared {
		return forward.Faultf("upstream sent response body larger than indicated content length")
	}
	if len(data) > 0 {
		s.body.put(data)
	}
	if f.StreamEnded() {
		w.endStream()
	}
	if padding := int(length) - len(data); padding > 0 {
		u := w.credit(padding)
		r := &w.replies.update
		r.conn, r.stream, r.id = r.conn+u.conn, r.stream+u.stream, s.id
	}
	return nil
}

// endStream ends the response.
func (w *Wire) endStream() {
	s := &w.stream
	s.ended = true
	if s.declared > s.arrived && s.failure == nil {
		s.failure = forward.Faultf("upstream prematurely closed stream")
	}
}

// refusedStream means that the server has not processed the request (RFC 9113, 8.7).
const refusedStream = http2.ErrCodeRefusedStream

func (w *Wire) handleReset(code http2.ErrCode) error {
	s := &w.stream
	switch {
	case s.failure != nil:
	case s.reset:
		return forward.Faultf("upstream sent frame for closed stream %d", s.id)
	case code == refusedStream && !s.final:
		s.failure = forward.Unprocessedf("upstream rejected request with error %d", uint32(code))
	case code == http2.ErrCodeCancel:
		s.failure = forward.Canceledf("upstream rejected request with error %d", uint32(code))
	case code != http2.ErrCodeNo || !s.ended:
		s.failure = forward.Faultf("upstream rejected request with error %d", uint32(code))
	}
	s.reset = true
	return nil
}

func (w *Wire) handleGoAway(f *http2.GoAwayFrame) error {
	s := &w.stream
	w.goneAway = true
	if s.id == 0 {
		return io.EOF
	}
	if f.LastStreamID < s.id && !s.ended && s.failure == nil {
		make := forward.Unprocessedf
		if s.final {
			make = forward.Faultf
		}
		s.failure = make("upstream sent goaway with error %d", uint32(f.ErrCode))
	}
	return nil
}

func (w *Wire) handleWindow(f *http2.WindowUpdateFrame) error {
	window := &w.sendWindow
	if f.StreamID != 0 {
		window = &w.stream.sendWindow
	}
	if *window += int64(f.Increment); *window > maxWindow {
		return forward.Faultf("upstream sent too large window update")
	}
	return nil
}

func (w *Wire) handleSettings(f *http2.SettingsFrame) error {
	s := &w.stream
	if f.IsAck() {
		return nil
	}
	if s.settings++; s.settings > maxAcks {
		return forward.Faultf("upstream sent too many settings frames")
	}
	w.replies.settings++
	return f.ForeachSetting(func(setting http2.Setting) error {
		if err := setting.Valid(); err != nil {
			return forward.Faultf("upstream sent settings frame with invalid value: %v", err)
		}
		if setting.ID == http2.SettingInitialWindowSize {
			by := int64(setting.Val) - w.initialWindow
			w.initialWindow += by
			if s.sendWindow += by; s.sendWindow > maxWindow {
				return forward.Faultf("upstream sent settings frame with too large initial window size")
			}
		}
		return nil
	})
}

func (w *Wire) handlePing(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil
	}
	if w.stream.pings++; w.stream.pings > maxAcks {
		return forward.Faultf("upstream sent too many ping frames")
	}
	w.replies.pings = append(w.replies.pings, f.Data)
	return nil
}
