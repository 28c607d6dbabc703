package h2client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/upstream"
	"starling/web/forward"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// server is the other side of a wire.
type server struct {
	*http2.Framer
	conn  net.Conn
	t     *testing.T
	block bytes.Buffer
	hpack *hpack.Encoder
}

// open makes a wire and its server, which has read the preface.
func open(t *testing.T) (*Wire, *server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return pair(t, near, far)
}

func pair(t *testing.T, near, far net.Conn) (*Wire, *server) {
	c := &upstream.Conn{Conn: near}
	w := Open(c)
	s := &server{Framer: http2.NewFramer(far, far), conn: far, t: t}
	s.hpack = hpack.NewEncoder(&s.block)
	t.Cleanup(func() {
		c.Close()
		far.Close()
		w.Close()
	})
	return w, s
}

// limit is PREFIX_buffer_size.
const limit = 4096

// ask sends a request with a body of unknown length, of which the piece is the beginning; the server has read its head.
func ask(t *testing.T, w *Wire, s *server, piece string) (id uint32) {
	t.Helper()
	read := make(chan uint32)
	preface := !w.greeted
	go func() {
		if preface {
			io.ReadFull(s.conn, make([]byte, len(http2.ClientPreface)))
		}
		f := s.next(http2.FrameHeaders)
		if f == nil {
			close(read)
			return
		}
		read <- f.Header().StreamID
	}()
	w.StartHead([]byte("POST"), false, []byte("/a.B/C"), []byte("localhost"))
	w.Field(0, []byte("X-A"), []byte("b"))
	if err := w.SendHead(Request{Framing: forward.Framing{Length: -1, Chunked: true}, HeadBytes: limit}, []byte(piece)); err != nil {
		t.Fatal(err)
	}
	id = <-read
	if id == 0 {
		t.Fatal("no request")
	}
	return id
}

// next reads up to the next frame of a type; nil at the end of the connection.
func (s *server) next(kind http2.FrameType) http2.Frame {
	for {
		f, err := s.ReadFrame()
		if err != nil {
			return nil
		}
		if f.Header().Type == kind {
			return f
		}
	}
}

// fields encodes "name: value" lines.
func (s *server) fields(lines ...string) []byte {
	s.block.Reset()
	for _, line := range lines {
		i := strings.Index(line[1:], ":") + 1
		s.hpack.WriteField(hpack.HeaderField{Name: line[:i], Value: strings.TrimPrefix(line[i+1:], " ")})
	}
	return bytes.Clone(s.block.Bytes())
}

func (s *server) head(id uint32, end bool, lines ...string) {
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.fields(lines...), EndHeaders: true, EndStream: end})
}

// respond reads the whole response.
func respond(w *Wire) (head forward.Head, body []byte, err error) {
	for {
		if _, err = w.ReceiveHead(&head); err != nil {
			return head, nil, err
		}
		if !head.Interim() {
			break
		}
	}
	p := make([]byte, 1000)
	for {
		n, err := w.ReceiveBody(p)
		body = append(body, p[:n]...)
		if err == io.EOF {
			return head, body, nil
		}
		if err != nil {
			return head, body, err
		}
	}
}

// TestManyRequests: a connection serves one after another, and its tables go on.
func TestManyRequests(t *testing.T) {
	w, s := open(t)
	for i := range uint32(3) {
		id := ask(t, w, s, "piece")
		if id != 2*i+1 {
			t.Fatal("stream", id)
		}
		if w.Reusable() {
			t.Error("reusable while the request is not whole")
		}
		if err := w.SendBody([]byte("last"), true); err != nil {
			t.Fatal(err)
		}
		s.head(id, false, ":status: 103", "link: x")
		s.head(id, false, ":status: 200", "content-type: application/grpc", "x-kept: same each time")
		s.WriteDataPadded(id, false, []byte("answer"), make([]byte, 9))
		s.head(id, true, "grpc-status: 0")
		head, body, err := respond(w)
		if err != nil || head.Status != 200 || string(head.ContentType) != "application/grpc" || string(body) != "answer" ||
			string(head.Headers[1].Value) != "same each time" {
			t.Fatal(head, string(body), err)
		}
		if all := w.Trailers(); !w.BodyDone() || len(all) != 1 || string(all[0].Name) != "grpc-status" || string(all[0].Value) != "0" {
			t.Error(all)
		}
		if !w.Reusable() {
			t.Error("not reusable")
		}
		w.Rest()
	}
}

// TestPrefaceFirst: a server that sends its settings at once gets the preface before the reply.
func TestPrefaceFirst(t *testing.T) {
	_, s := open(t)
	s.conn.SetReadDeadline(time.Now().Add(time.Minute))
	s.WriteSettings()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(s.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Fatalf("%q %v", preface, err)
	}
	for _, ack := range []bool{false, true} {
		if f, ok := s.next(http2.FrameSettings).(*http2.SettingsFrame); !ok || f.IsAck() != ack {
			t.Fatal(f)
		}
	}
}

// TestIgnored: what means nothing does no harm.
func TestIgnored(t *testing.T) {
	w, s := open(t)
	ask(t, w, s, "")
	go io.Copy(io.Discard, s.conn)
	io.WriteString(s.conn, frame(http2.FrameSettings, endStream, 0, "")+frame(http2.FramePing, endStream, 0, "12345678")+
		frame(http2.FramePriority, 0, 9, "\x00\x00\x00\x00\x00")+frame(77, 0, 1, "what")+frame(http2.FrameSettings, 0, 0, "\x00\x77\x00\x00\x00\x01")+
		strings.Repeat(frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x01"), 5*maxAcks)+
		frame(http2.FrameHeaders, endHead, 1, status200)+strings.Repeat(frame(http2.FrameData, 0, 1, ""), 5*maxAcks)+frame(http2.FrameData, endStream, 1, "x"))
	if _, body, err := respond(w); err != nil || string(body) != "x" {
		t.Error(string(body), err)
	}
}

// TestUnprocessed: two ways to say that another server can have the request, even a POST.
func TestUnprocessed(t *testing.T) {
	goaway := frame(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x05")
	for name, test := range map[string]struct {
		say         string
		unprocessed bool
	}{
		"refused":                  {frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x07"), true},
		"refused after a head":     {frame(http2.FrameHeaders, endHead, 1, status200) + frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x07"), false},
		"canceled":                 {frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x08"), false},
		"not among the accepted":   {goaway, true},
		"not accepted after all":   {frame(http2.FrameHeaders, endHead, 1, status200) + goaway, false},
		"closed without a message": {"", false},
	} {
		w, s := open(t)
		ask(t, w, s, "")
		io.WriteString(s.conn, test.say)
		s.conn.(*net.TCPConn).CloseWrite()
		_, _, err := respond(w)
		if forward.Unprocessed(err) != test.unprocessed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGoAway: the present request is answered, and there is no next one.
func TestGoAway(t *testing.T) {
	w, s := open(t)
	id := ask(t, w, s, "")
	w.SendBody(nil, true)
	s.WriteGoAway(id, http2.ErrCodeNo, nil)
	s.head(id, true, ":status: 200")
	if _, _, err := respond(w); err != nil {
		t.Fatal(err)
	}
	if w.Reusable() {
		t.Error("reusable")
	}
}

// TestIdle: a server that says farewell, or anything else than a ping, between requests loses the connection; the next
// request on it has certainly not been processed.
func TestIdle(t *testing.T) {
	for _, say := range []string{"", frame(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00"),
		frame(http2.FrameData, 0, 1, "x"), frame(http2.FrameHeaders, endHead, 3, status200),
		strings.Repeat(frame(http2.FrameSettings, 0, 0, ""), maxAcks+1)} {
		w, s := open(t)
		id := ask(t, w, s, "")
		w.SendBody(nil, true)
		s.head(id, true, ":status: 200")
		respond(w)
		w.Rest()
		s.WritePing(false, [8]byte{1})
		for {
			if f := s.next(http2.FramePing); f == nil || f.(*http2.PingFrame).IsAck() {
				break
			}
		}
		io.WriteString(s.conn, say)
		s.conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, s.conn) // until it is closed
		w.StartHead([]byte("POST"), false, []byte("/"), []byte("a"))
		if err := w.SendHead(Request{HeadBytes: limit}, nil); !forward.Unprocessed(err) {
			t.Errorf("%q: %v", say, err)
		}
	}
}

// TestWindows: the wire sends what the server allows, and a server can send as long as its bytes are taken.
func TestWindows(t *testing.T) {
	w, s := open(t)
	id := ask(t, w, s, strings.Repeat("a", 1000))
	s.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 500}) // 500 less than were sent already
	const rest = 200_000
	sent := make(chan error, 1)
	go func() { sent <- w.SendBody(make([]byte, rest), true) }()
	got := 0
	for got < rest+1000 {
		d := s.next(http2.FrameData).(*http2.DataFrame)
		n := len(d.Data())
		if n > frameBytes {
			t.Fatal("a long frame", n)
		}
		if got += n; got == rest+1000 {
			if !d.StreamEnded() {
				t.Error("no end")
			}
			break
		}
		s.WriteWindowUpdate(0, uint32(max(n, 1)))
		s.WriteWindowUpdate(id, uint32(max(n, 1)))
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, s.conn)
	s.head(id, false, ":status: 200")
	taken := make(chan int)
	go func() {
		var head forward.Head
		w.ReceiveHead(&head)
		_, body, _ := func() (forward.Head, []byte, error) {
			var all []byte
			p := make([]byte, 5000)
			for {
				n, err := w.ReceiveBody(p)
				all = append(all, p[:n]...)
				if err != nil {
					return head, all, err
				}
			}
		}()
		taken <- len(body)
	}()
	for range windowBytes / frameBytes {
		s.WriteData(id, false, make([]byte, frameBytes))
	}
	s.WriteData(id, true, nil)
	if n := <-taken; n != windowBytes {
		t.Error(n)
	}
}

// TestUpdates: windows are given back when bytes are taken, and not before.
func TestUpdates(t *testing.T) {
	w, s := open(t)
	id := ask(t, w, s, "")
	s.head(id, false, ":status: 200")
	for range windowBytes / frameBytes {
		s.WriteData(id, false, make([]byte, frameBytes))
	}
	var head forward.Head
	w.ReceiveHead(&head)
	p := make([]byte, windowBytes)
	for got := 0; got < windowBytes; {
		n, err := w.ReceiveBody(p)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	var conn, stream uint32
	for conn < windowBytes/2 || stream < windowBytes/2 {
		u := s.next(http2.FrameWindowUpdate).(*http2.WindowUpdateFrame)
		if u.StreamID == 0 {
			conn += u.Increment
		} else {
			stream += u.Increment
		}
	}
	s.WriteData(id, true, make([]byte, frameBytes))
	if n, err := w.ReceiveBody(p); n == 0 || err != nil {
		t.Error(n, err)
	}
}

// TestDeadlines are those of the request, and can be moved while it waits. The reader has none.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w, s := pair(t, near, far)
		socket := &socket{near, w}
		ask(t, w, s, "")
		go io.Copy(io.Discard, far)
		begin := time.Now()
		wants := func(after time.Duration, call func() error) {
			t.Helper()
			if err := call(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			if passed := time.Since(begin); passed != after {
				t.Errorf("%v passed, want %v", passed, after)
			}
		}
		var head forward.Head
		receive := func() error { _, err := w.ReceiveHead(&head); return err }
		socket.SetReadDeadline(begin.Add(time.Second))
		wants(time.Second, receive)
		socket.SetReadDeadline(begin.Add(time.Hour))
		time.AfterFunc(time.Second, func() { socket.SetReadDeadline(time.Unix(1, 0)) })
		wants(2*time.Second, receive)
		socket.SetWriteDeadline(begin.Add(5 * time.Second))
		wants(5*time.Second, func() error { return w.SendBody(make([]byte, 2*defaultWindow), true) })
	})
}

// TestRepliesAreNotReadForever: a server that sends pings and reads nothing is dropped.
func TestRepliesAreNotReadForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w, s := pair(t, near, far)
		ask(t, w, s, "")
		(&socket{near, w}).SetDeadline(time.Now().Add(time.Hour))
		begin := time.Now()
		s.WritePing(false, [8]byte{})
		if _, _, err := respond(w); err == nil || time.Since(begin) != replyTimeout {
			t.Error(err, time.Since(begin))
		}
	})
}

// TestInterruptedWrite: moving the deadline into the past ends a write that the server does not read.
func TestInterruptedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w, s := pair(t, near, far)
		ask(t, w, s, "")
		time.AfterFunc(time.Second, func() { (&socket{near, w}).SetWriteDeadline(time.Unix(1, 0)) })
		if err := w.SendBody(make([]byte, 1000), false); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if w.Reusable() {
			t.Error("reusable after half a frame")
		}
	})
}

// TestEarlyEnd: what remains of a body is not sent to a server that has responded.
func TestEarlyEnd(t *testing.T) {
	w, s := open(t)
	id := ask(t, w, s, "")
	s.head(id, true, ":status: 200")
	if _, _, err := respond(w); err != nil {
		t.Fatal(err)
	}
	if err := w.SendBody([]byte("rest"), true); err != errResponded {
		t.Error(err)
	}
	if w.Reusable() {
		t.Error("reusable")
	}
}
