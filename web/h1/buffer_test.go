package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// socketPair is a TCP connection; the test may write at the far end.
func socketPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestWaitHoldsNoMemory(t *testing.T) {
	near, far := socketPair(t)
	var b Buffer
	b.Attach(near)
	// The first look finds nothing and must give the slab back before it sleeps; a deadline ends the sleep.
	if err := near.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	if b.slab != nil {
		t.Error("an idle connection holds a slab")
	}
	if err := near.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if _, err := io.WriteString(far, want); err != nil {
			t.Fatal(err)
		}
		if err := b.Wait(); err != nil || string(b.Unread()) != want {
			t.Fatalf("got %q, %v", b.Unread(), err)
		}
		b.Consume(len(want))
		b.Recycle()
	}
	far.Close()
	if err := b.Wait(); err != io.EOF || b.slab != nil {
		t.Errorf("got %v, want EOF and no memory", err)
	}
	if b.Detach(); b.conn != nil {
		t.Error("detached, and holds the connection")
	}
}

func TestWaitWithoutSocket(t *testing.T) {
	var b Buffer
	b.Attach(&pieces{"ab"})
	if err := b.Wait(); err != nil || string(b.Unread()) != "a" {
		t.Fatalf("got %q, %v", b.Unread(), err)
	}
	if err := b.Fill(); err != nil || string(b.Unread()) != "ab" {
		t.Fatalf("got %q, %v", b.Unread(), err)
	}
	b.Consume(2)
	b.Recycle()
	if err := b.Wait(); err != io.EOF {
		t.Fatalf("got %v, want EOF", err)
	}
}

func TestPipelinedRequests(t *testing.T) {
	var text strings.Builder
	for i := range 300 {
		text.WriteString("POST /" + strings.Repeat("x", i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	}
	for how, conn := range map[string]io.Reader{"at once": &pieces{text.String()}, "byte by byte": everyByte(text.String())} {
		var b Buffer
		var h RequestHead
		var body Body
		b.Attach(conn)
		for i := range 300 {
			if err := b.Wait(); err != nil {
				t.Fatal(err)
			}
			h.Reset()
			if err := ReadRequest(&b, &h, &DefaultLimits); err != nil {
				t.Fatalf("%s, request %d: %v", how, i, err)
			}
			body.StartRequest(&b, &h)
			got, err := io.ReadAll(&body)
			if err != nil || string(got) != "abc" || len(h.Path) != i+1 || string(h.Get(HeaderHost)) != "a" {
				t.Fatalf("%s, request %d: %s, body %q, %v", how, i, summary(&h), got, err)
			}
			b.Recycle()
			if len(b.held) > 0 {
				t.Fatal("slabs are held after the request")
			}
		}
		if err := b.Wait(); err != io.EOF {
			t.Fatalf("%s: got %v at the end", how, err)
		}
	}
}

// What a head points to must survive when the buffer moves on to a larger slab.
func TestHeadsLargerThanABlock(t *testing.T) {
	var text strings.Builder
	text.WriteString("GET /" + strings.Repeat("p", 3000) + "?" + strings.Repeat("q", 3000) + " HTTP/1.1\r\nHost: a\r\n")
	for i := range 6 {
		text.WriteString("X: " + strings.Repeat(string(rune('a'+i)), 3000) + "\r\n")
	}
	text.WriteString("\r\n")
	h, _, err := readRequest(t, everyByte(text.String()), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Path) != 3001 || len(h.Args) != 3000 || h.Bytes != text.Len() {
		t.Errorf("path %d, args %d, %d bytes of %d", len(h.Path), len(h.Args), h.Bytes, text.Len())
	}
	for i := range 6 {
		if want := strings.Repeat(string(rune('a'+i)), 3000); string(h.Headers[1+i].Value) != want {
			t.Errorf("header %d is damaged", i)
		}
	}
}

func TestHeadLimits(t *testing.T) {
	line := func(n int) string { return "X: " + strings.Repeat("x", n-5) + "\r\n" } // n bytes in all
	get := func(n int) string { return "GET /" + strings.Repeat("x", n-16) + " HTTP/1.1\r\n" }
	l := Limits{HeaderBufferBytes: 128, LargeBuffers: 3, LargeBufferBytes: 256, MaxHeaders: 5}
	cases := []struct {
		name   string
		text   string
		status int
		words  string
	}{
		{"a line of just a large buffer", get(256) + "Host: a\r\n\r\n", 0, ""},
		{"a longer request line", get(257) + "Host: a\r\n\r\n", 414, "too long URI"},
		{"a request line without end", strings.Repeat("G", 10) + " /" + strings.Repeat("x", 300), 414, "too long URI"},
		{"a header of just a large buffer", get(20) + "Host: a\r\n" + line(256) + "\r\n", 0, ""},
		{"a longer header", get(20) + "Host: a\r\n" + line(257) + "\r\n", 494, "too long header line"},
		{"a header without end", get(20) + "Host: a\r\nX: " + strings.Repeat("x", 400), 494, "too long header line"},
		{"three large buffers", get(20) + "Host: a\r\n" + line(200) + line(200) + line(200) + "\r\n", 0, ""},
		{"four large buffers", get(20) + "Host: a\r\n" + line(200) + line(200) + line(200) + line(200) + "\r\n", 494, "too long header line"},
		{"five headers", get(20) + "Host: a\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n", 0, ""},
		{"six headers", get(20) + "Host: a\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n", 494, "too many header lines"},
	}
	for _, c := range cases {
		for how, conn := range map[string]io.Reader{"at once": &pieces{c.text}, "byte by byte": everyByte(c.text)} {
			_, _, err := readRequest(t, conn, l)
			if c.status == 0 {
				if err != nil {
					t.Errorf("%s, %s: %v", c.name, how, err)
				}
				continue
			}
			var p *Problem
			if !errors.As(err, &p) || p.Status != c.status || !strings.Contains(p.Text, c.words) {
				t.Errorf("%s, %s: got %v, want %d %q", c.name, how, err, c.status, c.words)
			}
		}
	}
}

func TestRequestEnds(t *testing.T) {
	if _, _, err := readRequest(t, &pieces{}, DefaultLimits); err != io.EOF {
		t.Errorf("a closed connection gives %v, want EOF", err)
	}
	for _, text := range []string{"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"} {
		if _, _, err := readRequest(t, &pieces{text}, DefaultLimits); err != io.ErrUnexpectedEOF {
			t.Errorf("%q gives %v, want unexpected EOF", text, err)
		}
	}
}

func TestBlocks(t *testing.T) {
	for _, c := range []struct{ ask, get int }{{0, 4096}, {1, 4096}, {4096, 4096}, {4097, 8192}, {8192, 8192}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1}} {
		b := TakeSlab(c.ask)
		if len(b.Mem) != c.get {
			t.Errorf("asked for %d, got %d, want %d", c.ask, len(b.Mem), c.get)
		}
		b.GiveBack()
	}
}
