package h2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2/hpack"

	"starling/web/h1"
)

// answers is a Handler made of a function.
type answers struct {
	serve   func(s *Stream)
	last    int // GOAWAY with the stream of that number; 0: never
	idle    atomic.Bool
	running atomic.Int32
	lines   chan string
}

func (a *answers) Serve(s *Stream) {
	a.running.Add(1)
	defer a.running.Add(-1)
	if s.Problem != nil {
		status := s.Problem.(*h1.Problem).Status
		if status == h1.StatusHeaderTooLarge {
			status = 400
		}
		s.WriteHead(AppendStatus(nil, status), true)
		return
	}
	a.serve(s)
}
func (a *answers) Last(n int) bool { return a.last > 0 && n >= a.last }
func (a *answers) Idle(idle bool)  { a.idle.Store(idle) }
func (a *answers) Linger()         {}
func (a *answers) Logf(format string, args ...any) {
	select {
	case a.lines <- fmt.Sprintf(format, args...):
	default:
	}
}

// hello answers every request.
func hello(s *Stream) {
	s.WriteHead(AppendStatus(nil, 200), false)
	s.Write([]byte("hello"), true, 8<<10, time.Minute)
}

// echo answers with the body.
func echo(s *Stream) {
	s.WriteHead(AppendStatus(nil, 200), false)
	p := make([]byte, 10000)
	for {
		n, err := s.Read(p, time.Minute)
		if err == io.EOF {
			s.Write(nil, true, 0, time.Minute)
			return
		}
		if err != nil || s.Write(p[:n], false, 8<<10, time.Minute) != nil {
			return
		}
	}
}

var testSettings = Settings{MaxStreams: 10, PrereadBytes: 65536, ReadBytes: 16 << 10, Limits: &h1.DefaultLimits,
	HeaderTimeout: time.Minute, IdleTimeout: 75 * time.Second, SendTimeout: time.Minute}

// client speaks raw frames with a Conn.
type client struct {
	t       *testing.T
	conn    net.Conn
	served  *Conn
	ended   chan struct{}
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// connect is dial and greet.
func connect(t *testing.T, handler *answers, settings Settings) *client {
	t.Helper()
	c := dial(t, handler, settings, func(*Conn) {})
	c.greet()
	return c
}

// greet goes through the greeting.
func (c *client) greet() {
	c.t.Helper()
	c.raw(Preface)
	c.expect("SETTINGS", "WINDOW 0 2147418112")
	c.settings()
	c.raw(frame(frameSettings, flagAck, 0, ""))
	c.expect("ACK")
}

// dial starts a Conn behind a pipe, after before has been called with it.
func dial(t *testing.T, handler *answers, settings Settings, before func(*Conn)) *client {
	t.Helper()
	near, far := net.Pipe()
	var in h1.Buffer
	in.Attach(far)
	handler.lines = make(chan string, 1000)
	c := &client{t: t, conn: near, ended: make(chan struct{})}
	c.encoder = hpack.NewEncoder(&c.block)
	c.served = NewConn(far, far, &in, settings, handler)
	before(c.served)
	go func() {
		defer close(c.ended)
		c.served.Serve()
		in.Detach()
	}()
	t.Cleanup(func() {
		near.Close()
		<-c.ended
	})
	c.conn.SetDeadline(time.Now().Add(time.Hour))
	return c
}

func (c *client) raw(bytes string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, bytes); err != nil {
		c.t.Fatal(err)
	}
}

// got is a frame as it came.
type got struct {
	frameHead
	payload []byte
}

// next reads a frame; ok is false at the end of the connection.
func (c *client) next() (f got, ok bool) {
	head := make([]byte, frameHeaderBytes)
	if _, err := io.ReadFull(c.conn, head); err != nil {
		return f, false
	}
	f.frameHead = readFrameHead(head)
	f.payload = make([]byte, f.length)
	_, err := io.ReadFull(c.conn, f.payload)
	return f, err == nil
}

// number reads 32 bits of the payload.
func (f got) number(at int) uint32 { return binary.BigEndian.Uint32(f.payload[at:]) }

// String says a frame in a word.
func (f got) String() string {
	switch f.kind {
	case frameGoAway:
		return fmt.Sprintf("GOAWAY %d last %d", f.number(4), f.number(0))
	case frameReset:
		return fmt.Sprintf("RST %d %d", f.stream, f.number(0))
	case frameData:
		return fmt.Sprintf("DATA %d %s %t", f.stream, f.payload, f.has(flagEndStream))
	case frameHeaders:
		return fmt.Sprintf("HEADERS %d %t", f.stream, f.has(flagEndStream))
	case framePing:
		return fmt.Sprintf("PING %s %t", f.payload, f.has(flagAck))
	case frameWindowUpdate:
		return fmt.Sprintf("WINDOW %d %d", f.stream, f.number(0))
	case frameSettings:
		if f.has(flagAck) {
			return "ACK"
		}
		return "SETTINGS"
	}
	return fmt.Sprintf("frame of type %d", f.kind)
}

// read says the next frame, "end" at the end of the connection.
func (c *client) read() string {
	f, ok := c.next()
	if !ok {
		return "end"
	}
	return f.String()
}

// data reads a DATA frame.
func (c *client) data() []byte {
	c.t.Helper()
	f, _ := c.next()
	if f.kind != frameData {
		c.t.Fatalf("got %v, want DATA", f)
	}
	return f.payload
}

func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.read(); got != w {
			c.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// settings sends pairs of a parameter and its value.
func (c *client) settings(pairs ...uint32) {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = appendSetting(b, uint16(pairs[i]), pairs[i+1])
	}
	c.raw(frame(frameSettings, 0, 0, string(b)))
}

func (c *client) widen(stream uint32, by int64) { c.raw(string(appendWindowUpdate(nil, stream, by))) }

func (c *client) reset(stream uint32) { c.raw(string(appendReset(nil, stream, CodeCancel))) }

func (c *client) ping() { c.raw(frame(framePing, 0, 0, "SEE-THIS")) }

// body sends a DATA frame.
func (c *client) body(stream uint32, end bool, text string) {
	c.raw(frame(frameData, endFlag(end), stream, text))
}

func endFlag(end bool) uint8 {
	if end {
		return flagEndStream
	}
	return 0
}

// head encodes the fields of a request: "name value" each.
func (c *client) head(fields ...string) []byte {
	c.block.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, " ")
		c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return c.block.Bytes()
}

func (c *client) request(id uint32, end bool, more ...string) {
	c.t.Helper()
	block := c.head(append([]string{":method GET", ":scheme http", ":path /", ":authority localhost"}, more...)...)
	c.raw(frame(frameHeaders, flagEndHeaders|endFlag(end), id, string(block)))
}

func TestRequestsAndPings(t *testing.T) {
	c := connect(t, &answers{serve: hello}, testSettings)
	c.request(1, true)
	c.expect("HEADERS 1 false", "DATA 1 hello true")
	c.ping()
	c.expect("PING SEE-THIS true")
	c.request(7, true) // numbers may be left out
	c.expect("HEADERS 7 false", "DATA 7 hello true")
}

func frame(kind frameType, flags uint8, stream uint32, payload string) string {
	return string(appendFrameHead(nil, len(payload), kind, flags, stream)) + payload
}

// What breaks the rules of a connection ends it, with the code that nginx sends.
func TestConnectionErrors(t *testing.T) {
	get := "\x82\x86\x84\x41\x01a"
	for _, c := range []struct {
		name, frames string
		code         Code
	}{
		{"HEADERS on an even stream", frame(frameHeaders, 5, 2, get), CodeProtocol},
		{"HEADERS on stream 0", frame(frameHeaders, 5, 0, get), CodeProtocol},
		{"HEADERS without a block", frame(frameHeaders, 5, 1, ""), CodeFrameSize},
		{"HEADERS that is all padding", frame(frameHeaders, 5|flagPadded, 1, "\x09"+get), CodeProtocol},
		{"HEADERS that depends on itself", frame(frameHeaders, 5|flagPriority, 1, "\x00\x00\x00\x01\x10"+get), CodeProtocol},
		{"HEADERS, then another frame", frame(frameHeaders, 1, 1, get) + frame(framePing, 0, 0, "12345678"), CodeProtocol},
		{"CONTINUATION of nothing", frame(frameContinuation, 4, 1, get), CodeProtocol},
		{"a block in too many pieces", frame(frameHeaders, 1, 1, get) + strings.Repeat(frame(frameContinuation, 0, 1, "\x82"), 40), CodeEnhanceYourCalm},
		{"a block that is too long", frame(frameHeaders, 1, 1, get) + strings.Repeat(frame(frameContinuation, 0, 1, strings.Repeat("\x82", 16000)), 4), CodeEnhanceYourCalm},
		{"a bad block", frame(frameHeaders, 5, 1, "\xbe"), CodeCompression},
		{"DATA on stream 0", frame(frameData, 0, 0, "a"), CodeProtocol},
		{"DATA with too much padding", frame(frameData, flagPadded, 1, "\x05abc"), CodeProtocol},
		{"DATA without its padding", frame(frameData, flagPadded, 1, ""), CodeFrameSize},
		{"SETTINGS on a stream", frame(frameSettings, 0, 1, ""), CodeProtocol},
		{"SETTINGS of odd length", frame(frameSettings, 0, 0, "12345"), CodeFrameSize},
		{"SETTINGS ACK with settings", frame(frameSettings, 1, 0, "123456"), CodeFrameSize},
		{"a window too large", frame(frameSettings, 0, 0, "\x00\x04\x80\x00\x00\x00"), CodeFlowControl},
		{"frames too small", frame(frameSettings, 0, 0, "\x00\x05\x00\x00\x00\x2a"), CodeProtocol},
		{"push of 2", frame(frameSettings, 0, 0, "\x00\x02\x00\x00\x00\x02"), CodeProtocol},
		{"PUSH_PROMISE", frame(framePushPromise, 4, 1, "1234"), CodeProtocol},
		{"short PING", frame(framePing, 0, 0, "1234567"), CodeFrameSize},
		{"PING on a stream", frame(framePing, 0, 1, "12345678"), CodeProtocol},
		{"GOAWAY on a stream", frame(frameGoAway, 0, 1, "12345678"), CodeProtocol},
		{"short GOAWAY", frame(frameGoAway, 0, 0, "1234567"), CodeFrameSize},
		{"WINDOW_UPDATE by 0", frame(frameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), CodeProtocol},
		{"WINDOW_UPDATE beyond the limit", frame(frameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), CodeFlowControl},
		{"RST_STREAM on stream 0", frame(frameReset, 0, 0, "1234"), CodeProtocol},
		{"long RST_STREAM", frame(frameReset, 0, 1, "12345"), CodeFrameSize},
		{"PRIORITY on stream 0", frame(framePriority, 0, 0, "12345"), CodeProtocol},
		{"DATA on an idle stream", frame(frameData, flagEndStream, 1, "abc"), CodeProtocol},
		{"DATA on a stream that only we could begin", frame(frameData, 0, 2, "abc"), CodeProtocol},
		{"RST_STREAM on an idle stream", frame(frameReset, 0, 3, "1234"), CodeProtocol},
		{"RST_STREAM on a stream that only we could begin", frame(frameReset, 0, 2, "1234"), CodeProtocol},
		{"WINDOW_UPDATE on an idle stream", frame(frameWindowUpdate, 0, 1, "\x00\x00\x00\x01"), CodeProtocol},
		{"RST_STREAM on the next stream", frame(frameHeaders, 5, 1, get) + frame(frameReset, 0, 3, "1234"), CodeProtocol},
		{"a long DATA frame", string(appendFrameHead(nil, takenFrameBytes+1, frameData, 0, 1)), CodeFrameSize},
		{"a long HEADERS frame", string(appendFrameHead(nil, maxFrameBytes, frameHeaders, 5, 1)), CodeFrameSize},
		{"a long frame that nobody knows", string(appendFrameHead(nil, takenFrameBytes+1, 77, 0, 0)), CodeFrameSize},
		{"too many PRIORITY", strings.Repeat(frame(framePriority, 0, 9, "12345"), 101), CodeEnhanceYourCalm},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := connect(t, &answers{serve: hello}, testSettings)
			go io.WriteString(client.conn, c.frames) // ends early where the server does
			for {
				f, ok := client.next()
				if !ok {
					t.Fatal("connection closed without GOAWAY")
				}
				if f.kind == frameGoAway {
					if Code(f.number(4)) != c.code {
						t.Errorf("code %d, want %d", f.number(4), c.code)
					}
					return
				}
			}
		})
	}
}

func TestNoPreface(t *testing.T) {
	for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nX", "X", "INVALID CONNECTION PREFACE\r\n\r\n"} {
		near, far := net.Pipe()
		var in h1.Buffer
		in.Attach(far)
		c := NewConn(far, far, &in, testSettings, &answers{serve: hello})
		go c.Serve()
		go io.WriteString(near, text)
		all, _ := io.ReadAll(near)
		if !bytes.HasSuffix(all, appendGoAway(nil, 0, CodeProtocol)) {
			t.Errorf("%q: got % x", text, all)
		}
	}
}

// More streams than allowed are refused; those that were given up count until their handlers are done, so resets gain
// nothing.
func TestTooManyStreams(t *testing.T) {
	release := make(chan struct{})
	handler := &answers{serve: func(s *Stream) { <-release; hello(s) }}
	c := connect(t, handler, testSettings)
	refused := 0
	for i := range 10 {
		c.request(uint32(1+2*i), true)
		c.reset(uint32(1 + 2*i))
	}
	for i := 10; ; i++ {
		c.request(uint32(1+2*i), true)
		got := c.read()
		if strings.HasPrefix(got, "GOAWAY 0") && refused == 100 {
			break
		}
		if want := fmt.Sprintf("RST %d 7", 1+2*i); got != want {
			t.Fatalf("after %d refused streams: got %s, want %s", refused, got, want)
		}
		refused++
	}
	if n := handler.running.Load(); n > 10 {
		t.Errorf("%d handlers run", n)
	}
	close(release)
}

func TestFloodOfPings(t *testing.T) {
	c := connect(t, &answers{serve: hello}, testSettings)
	go func() {
		pings := strings.Repeat(frame(framePing, flagAck, 0, "SEE-THIS"), 1000)
		for {
			if _, err := io.WriteString(c.conn, pings); err != nil {
				return
			}
		}
	}()
	c.expect("GOAWAY 0 last 0", "end")
}

// A client that asks and never reads makes the server hold no more than a bounded queue, and is cut off after
// send_timeout.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, &answers{serve: hello}, testSettings)
		go func() {
			ping := frame(framePing, 0, 0, "SEE-THIS")
			for {
				if _, err := io.WriteString(c.conn, ping); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		c.served.mu.Lock()
		held := c.served.out.used
		c.served.mu.Unlock()
		if held > 2*queuedBytes {
			t.Errorf("%d bytes wait", held)
		}
		begin := time.Now()
		<-c.ended
		if waited := time.Since(begin); waited > testSettings.SendTimeout+time.Second {
			t.Errorf("cut off after %v", waited)
		}
	})
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Idle from the end of the last stream on.
		c := connect(t, &answers{serve: hello}, testSettings)
		time.Sleep(50 * time.Second)
		c.request(1, true)
		c.expect("HEADERS 1 false", "DATA 1 hello true")
		begin := time.Now()
		c.expect("GOAWAY 0 last 1", "end")
		if idle := time.Since(begin); idle != testSettings.IdleTimeout {
			t.Errorf("closed after %v", idle)
		}
		// No request at all.
		c = connect(t, &answers{serve: hello}, testSettings)
		begin = time.Now()
		c.expect("GOAWAY 1 last 0", "end")
		if idle := time.Since(begin); idle != testSettings.HeaderTimeout {
			t.Errorf("closed after %v", idle)
		}
		// A head that does not come.
		c = connect(t, &answers{serve: hello}, testSettings)
		c.raw(frame(frameHeaders, 1, 1, "\x82\x86"))
		begin = time.Now()
		c.expect("GOAWAY 1 last 0", "end")
		if idle := time.Since(begin); idle != testSettings.HeaderTimeout {
			t.Errorf("closed after %v", idle)
		}
	})
}

func TestTheLastStreamByNumber(t *testing.T) {
	c := connect(t, &answers{serve: hello, last: 2}, testSettings)
	c.request(1, true)
	c.expect("HEADERS 1 false", "DATA 1 hello true")
	c.request(3, true)
	c.expect("GOAWAY 0 last 3", "HEADERS 3 false", "DATA 3 hello true", "end")
}
