package h2

import (
	"encoding/binary"

	"starling/web/h1"
)

// readFrame reads and handles one frame. A *failure ends the connection.
func (c *Conn) readFrame() error {
	c.in.Recycle()
	if err := c.need(frameHeaderBytes); err != nil {
		return err
	}
	h := readFrameHead(c.in.Unread())
	c.in.Consume(frameHeaderBytes)
	if h.length > takenFrameBytes {
		return failed(CodeFrameSize, "client sent too long frame: %d bytes", h.length)
	}
	switch h.kind {
	case frameData:
		return c.readData(h)
	case frameHeaders:
		return c.readHeaders(h)
	case frameContinuation:
		return failed(CodeProtocol, "client sent unexpected CONTINUATION frame")
	case framePushPromise:
		return failed(CodeProtocol, "client sent PUSH_PROMISE frame")
	case framePriority, frameReset, frameSettings, framePing, frameGoAway, frameWindowUpdate:
		return c.readControl(h)
	}
	return c.skip(h.length)
}

// skip reads and drops bytes.
func (c *Conn) skip(n int) error {
	for n > 0 {
		if err := c.need(1); err != nil {
			return err
		}
		taken := min(n, len(c.in.Unread()))
		c.in.Consume(taken)
		n -= taken
	}
	return nil
}

// payload returns the next bytes of a frame; they are valid until the next read.
func (c *Conn) payload(n int) ([]byte, error) {
	if err := c.need(n); err != nil {
		return nil, err
	}
	b := c.in.Unread()[:n]
	c.in.Consume(n)
	return b, nil
}

// controlFrames are the lengths and streams required for frames without a body.
var controlFrames = [...]struct {
	name     string
	length   int  // -1: checked on its own
	ofStream bool // belongs to a stream, not to the connection
	anywhere bool
}{
	framePriority:     {"PRIORITY", 5, true, false},
	frameReset:        {"RST_STREAM", 4, true, false},
	frameSettings:     {"SETTINGS", -1, false, false},
	framePing:         {"PING", 8, false, false},
	frameGoAway:       {"GOAWAY", -1, false, false},
	frameWindowUpdate: {"WINDOW_UPDATE", 4, false, true},
}

// maxGoAwayBytes bounds GOAWAY's debug data, which is skipped.
const maxGoAwayBytes = 64 << 10

func (c *Conn) readControl(h frameHead) error {
	rule := controlFrames[h.kind]
	wrongLength := rule.length >= 0 && h.length != rule.length
	switch h.kind {
	case frameSettings:
		wrongLength = h.length%settingBytes != 0 || h.length > maxSettingsBytes || h.has(flagAck) && h.length != 0
	case frameGoAway:
		wrongLength = h.length < 8 || h.length > maxGoAwayBytes
	}
	if wrongLength {
		return failed(CodeFrameSize, "client sent %s frame with incorrect length %d", rule.name, h.length)
	}
	if !rule.anywhere && (h.stream != 0) != rule.ofStream {
		return failed(CodeProtocol, "client sent %s frame with incorrect identifier", rule.name)
	}
	if (h.kind == frameReset || h.kind == frameWindowUpdate && h.stream != 0) && c.isIdle(h.stream) {
		return failed(CodeProtocol, "client sent %s frame for idle stream %d", rule.name, h.stream)
	}
	if h.kind == frameGoAway {
		return c.skip(h.length)
	}
	p, err := c.payload(h.length)
	if err != nil {
		return err
	}
	switch h.kind {
	case framePriority:
		return c.priority(h.stream, p)
	case frameReset:
		c.resetByClient(h.stream, Code(binary.BigEndian.Uint32(p)))
	case frameSettings:
		return c.applySettings(h, p)
	case framePing:
		return c.pong(h, p)
	case frameWindowUpdate:
		return c.widen(h.stream, int64(binary.BigEndian.Uint32(p)&maxWindow))
	}
	return nil
}

// priority is checked and ignored: RFC 9113 deprecates priorities. Too many are a flood.
func (c *Conn) priority(stream uint32, p []byte) error {
	if c.priorities--; c.priorities <= 0 {
		return failed(CodeEnhanceYourCalm, "client sent too many PRIORITY frames")
	}
	if binary.BigEndian.Uint32(p)&maxWindow == stream {
		return failed(CodeProtocol, "client sent PRIORITY frame for stream %d with incorrect dependency", stream)
	}
	return nil
}

func (c *Conn) pong(h frameHead, p []byte) error {
	if h.has(flagAck) {
		return c.answered(p)
	}
	c.waitForRoom()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queueFrame(framePing, flagAck, 0, p)
	c.kick()
	return nil
}

func (c *Conn) applySettings(h frameHead, p []byte) error {
	if h.has(flagAck) {
		c.acked = true
		return nil
	}
	c.waitForRoom()
	c.mu.Lock()
	defer c.mu.Unlock()
	window := c.initialWindow
	for ; len(p) > 0; p = p[settingBytes:] {
		value := int64(binary.BigEndian.Uint32(p[2:]))
		switch binary.BigEndian.Uint16(p) {
		case settingInitialWindow:
			if value > maxWindow {
				return failed(
					CodeFlowControl,
					"client sent SETTINGS frame with incorrect INITIAL_WINDOW_SIZE value %d",
					value,
				)
			}
			window = value
		case settingMaxFrameBytes:
			if value > maxFrameBytes || value < defaultFrameBytes {
				return failed(CodeProtocol, "client sent SETTINGS frame with incorrect MAX_FRAME_SIZE value %d", value)
			}
			c.frameBytes = int(value)
		case settingEnablePush:
			if value > 1 {
				return failed(CodeProtocol, "client sent SETTINGS frame with incorrect ENABLE_PUSH value %d", value)
			}
		case settingHeaderTableBytes:
			c.tableShrinks = true
		}
	}
	c.queueFrame(frameSettings, flagAck, 0, nil)
	by := window - c.initialWindow
	c.initialWindow = window
	for _, s := range c.streams {
		if s.sendWindow += by; s.sendWindow > maxWindow {
			c.reset(s, CodeFlowControl)
		}
	}
	if by > 0 {
		c.wakeBlocked()
	}
	c.kick()
	return nil
}

// widen adds to the window of a stream or of the connection.
func (c *Conn) widen(stream uint32, by int64) error {
	if by == 0 {
		return failed(CodeProtocol, "client sent WINDOW_UPDATE frame with incorrect window increment 0")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream == 0 {
		if by > maxWindow-c.sendWindow {
			return failed(
				CodeFlowControl,
				"client violated connection flow control: received WINDOW_UPDATE frame with window increment %d "+
					"not allowed for window %d",
				by,
				c.sendWindow,
			)
		}
		c.sendWindow += by
		c.wakeBlocked()
		return nil
	}
	s := c.streams[stream]
	switch {
	case s == nil:
	case by > maxWindow-s.sendWindow:
		c.handler.Logf(
			"client violated flow control for stream %d: received WINDOW_UPDATE frame with window increment %d "+
				"not allowed for window %d", stream, by, s.sendWindow)
		c.reset(s, CodeFlowControl)
	default:
		s.sendWindow += by
		s.signal()
	}
	return nil
}

// resetByClient ends a stream. Its handler continues until it notices, and counts as a stream until then, so rapid
// resets gain nothing.
func (c *Conn) resetByClient(stream uint32, code Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[stream]
	if s == nil {
		c.over.add(stream) // we ended it; now the client ends it too
		return
	}
	if s.gone != nil {
		return
	}
	switch code {
	case CodeCancel:
		c.handler.Logf("client canceled stream %d while processing HTTP/2 connection", stream)
	default:
		c.handler.Logf("client terminated stream %d with status %d while processing HTTP/2 connection", stream,
			uint32(code))
	}
	s.over = true
	s.abandon(ErrReset)
}

// readData passes body bytes to their stream.
func (c *Conn) readData(h frameHead) error {
	left, padding := h.length, 0
	if h.has(flagPadded) {
		if h.length == 0 {
			return failed(CodeFrameSize, "client sent padded DATA frame with incorrect length: 0")
		}
		p, err := c.payload(1)
		if err != nil {
			return err
		}
		if padding = int(p[0]); padding >= h.length {
			return failed(
				CodeProtocol,
				"client sent padded DATA frame with incorrect length: %d, padding: %d",
				h.length,
				padding,
			)
		}
		left -= 1 + padding
	}
	if h.stream == 0 {
		return failed(CodeProtocol, "client sent DATA frame with incorrect identifier")
	}
	if c.isIdle(h.stream) {
		return failed(CodeProtocol, "client sent DATA frame for idle stream %d", h.stream)
	}
	if int64(h.length) > c.recvWindow {
		return failed(
			CodeFlowControl,
			"client violated connection flow control: received DATA frame length %d, available window %d",
			h.length,
			c.recvWindow,
		)
	}
	c.recvWindow -= int64(h.length)
	if c.recvWindow < maxWindow/4 {
		c.mu.Lock()
		c.queue(appendWindowUpdate(make([]byte, 0, frameHeaderBytes+4), 0, maxWindow-c.recvWindow))
		c.mu.Unlock()
		c.recvWindow = maxWindow
	}
	if !c.takesData(h) {
		return c.skip(left + padding)
	}
	// The stream is looked up for each piece: it can end while more is read.
	for left > 0 {
		if err := c.need(1); err != nil {
			return err
		}
		piece := c.in.Unread()
		piece = piece[:min(left, len(piece))]
		c.feed(h.stream, piece)
		c.usefulBytes += int64(len(piece))
		c.in.Consume(len(piece))
		left -= len(piece)
	}
	if h.has(flagEndStream) {
		c.feedEnd(h.stream)
	}
	if h.has(flagPadded) {
		c.creditPadding(h.stream)
	}
	return c.skip(padding)
}

// readHeaders starts a stream, or reads the trailers of one.
func (c *Conn) readHeaders(h frameHead) error {
	prefix := 0
	if h.has(flagPadded) {
		prefix++
	}
	if h.has(flagPriority) {
		prefix += 5
	}
	if h.length <= prefix {
		return failed(CodeFrameSize, "client sent HEADERS frame with incorrect length %d", h.length)
	}
	p, err := c.payload(prefix)
	if err != nil {
		return err
	}
	padding := 0
	if h.has(flagPadded) {
		padding, p = int(p[0]), p[1:]
	}
	length := h.length - prefix - padding
	if length < 0 {
		return failed(
			CodeProtocol,
			"client sent padded HEADERS frame with incorrect length: %d, padding: %d",
			h.length,
			padding,
		)
	}
	if h.has(flagPriority) && binary.BigEndian.Uint32(p)&maxWindow == h.stream {
		return failed(CodeProtocol, "client sent HEADERS frame for stream %d with incorrect dependency", h.stream)
	}
	trailers := c.takesTrailers(h)
	if !trailers && (h.stream%2 == 0 || h.stream <= c.seenID) {
		return failed(
			CodeProtocol,
			"client sent HEADERS frame with incorrect identifier %d, the last was %d",
			h.stream,
			c.seenID,
		)
	}
	block, err := c.headerBlock(h, length, padding)
	if err != nil {
		return err
	}
	if trailers {
		err = c.dec.decode(block, &c.spare, func(field) {})
		c.spare.Reset()
		c.feedEnd(h.stream)
		return err
	}
	return c.begin(h, block)
}

// headerBlock reads a header block to its end, in any number of frames. The bytes are valid until the next read.
func (c *Conn) headerBlock(h frameHead, length, padding int) ([]byte, error) {
	limit := c.dec.maxBlockBytes + defaultFrameBytes
	if length > limit {
		return nil, failed(CodeEnhanceYourCalm, "client sent too large header block")
	}
	if whole := len(c.in.Unread()) >= length+padding && h.has(flagEndHeaders); !whole {
		if err := c.dec.hopeless(c.in.Unread()[:min(length, len(c.in.Unread()))]); err != nil {
			return nil, err
		}
		c.withinBlock(true)
		defer c.withinBlock(false)
	}
	if h.has(flagEndHeaders) {
		b, err := c.payload(length + padding)
		if err != nil {
			return nil, err
		}
		return b[:length], nil
	}
	c.takeBlock(limit)
	used := 0
	for n := 0; ; n++ {
		b, err := c.payload(length + padding)
		if err != nil {
			return nil, err
		}
		used += copy(c.block.Mem[used:], b[:length])
		if h.has(flagEndHeaders) {
			return c.block.Mem[:used], nil
		}
		stream := h.stream
		if b, err = c.payload(frameHeaderBytes); err != nil {
			return nil, err
		}
		if h = readFrameHead(b); h.kind != frameContinuation || h.stream != stream {
			return nil, failed(CodeProtocol, "client sent inappropriate frame while CONTINUATION was expected")
		}
		length, padding = h.length, 0
		if n >= maxContinuations || used+length > limit {
			return nil, failed(CodeEnhanceYourCalm, "client sent too large header block")
		}
		c.in.Recycle()
	}
}

func (c *Conn) takeBlock(size int) {
	c.dropBlock()
	c.block = h1.TakeSlab(size)
}

func (c *Conn) dropBlock() {
	if c.block != nil {
		c.block.GiveBack()
		c.block = nil
	}
}
