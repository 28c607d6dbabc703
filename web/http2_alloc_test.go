package web_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"starling/web/h2"
)

// streamClient sends one request after the other on streams of one connection, without allocating.
type streamClient struct {
	conn    net.Conn
	frame   []byte // HEADERS with END_STREAM and END_HEADERS
	next    uint32
	head    [9]byte
	payload [64 << 10]byte
}

func newStreamClient(t testing.TB, conn net.Conn) *streamClient {
	// :method GET, :scheme http, :path /, :authority a, user-agent x: indexed where the table has it, else literal.
	block := []byte("\x82\x86\x84\x01\x01a\x0f\x2b\x01x")
	c := &streamClient{conn: conn, next: 1, frame: append([]byte{0, 0, byte(len(block)), 1, 5, 0, 0, 0, 0}, block...)}
	conn.SetDeadline(time.Now().Add(time.Minute))
	settings, window := "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00"
	if _, err := io.WriteString(conn, h2.Preface+settings+window); err != nil {
		t.Fatal(err)
	}
	return c
}

// send begins a stream.
func (c *streamClient) send(t testing.TB) {
	binary.BigEndian.PutUint32(c.frame[5:], c.next)
	c.next += 2
	if _, err := c.conn.Write(c.frame); err != nil {
		t.Fatal(err)
	}
}

// receive reads frames until one ends a stream.
func (c *streamClient) receive(t testing.TB) {
	for {
		if _, err := io.ReadFull(c.conn, c.head[:]); err != nil {
			t.Fatal(err)
		}
		length := int(c.head[0])<<16 | int(c.head[1])<<8 | int(c.head[2])
		if _, err := io.ReadFull(c.conn, c.payload[:length]); err != nil {
			t.Fatal(err)
		}
		if c.head[3] <= 1 && c.head[4]&1 != 0 {
			return
		}
	}
}

func TestStreamsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := start(t, `http2 on; server_tokens "shop/$arg_v"; server { listen 80; status_zone s; location / { status_zone l; say "hello, $remote_addr"; } }`)
	c := newStreamClient(t, s.DialLoopback())
	for range 50 { // pools, the first goroutines
		c.send(t)
		c.receive(t)
	}
	// The garbage collector may empty a pool meanwhile.
	if n := testing.AllocsPerRun(200, func() { c.send(t); c.receive(t) }); n > 0.5 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkHTTP2(b *testing.B) {
	s := start(b, `http2 on; server { listen 80; keepalive_requests 1000000000; say "hello, $remote_addr"; }`)
	c := newStreamClient(b, s.DialLoopback())
	c.conn.SetDeadline(time.Now().Add(time.Hour))
	for b.Loop() {
		for range 8 {
			c.send(b)
		}
		for range 8 {
			c.receive(b)
		}
	}
}
