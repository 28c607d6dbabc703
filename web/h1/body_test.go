package h1

import (
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// readBody reads a request's chunked body with a buffer of size bytes per read, as a server does: what is buffered
// first, then the rest.
func readBody(conn io.Reader, size int, kind BodyKind, length int64) (string, *Body, *Buffer, error) {
	buf, body := &Buffer{}, &Body{}
	buf.Attach(conn)
	body.start(buf, kind, length)
	body.chunks.start(false)
	var got strings.Builder
	if err := buf.Fill(); err != nil {
		return "", body, buf, midMessage(err, kind != BodyUntilClose)
	}
	first, err := body.Take()
	got.Write(first)
	p := make([]byte, size)
	for err == nil {
		var n int
		n, err = body.Read(p)
		got.Write(p[:n])
	}
	if err == io.EOF {
		err = nil
	}
	return got.String(), body, buf, err
}

func TestChunkedBodies(t *testing.T) {
	cases := []struct{ name, wire, want, trailers, rest string }{
		{"empty", "0\r\n\r\n", "", "", ""},
		{"one chunk", "3\r\nabc\r\n0\r\n\r\n", "abc", "", ""},
		{"several", "1\r\na\r\n02\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", "", ""},
		{"extensions", "3;x=y;z=\"q\"\r\nabc\r\n0;last\r\n\r\n", "abc", "", ""},
		{"padded size", "3 \t\r\nabc\r\n0\r\n\r\n", "abc", "", ""},
		{"trailers", "1\r\na\r\n0\r\nX-Sum: 1\r\nx-b:2\r\n\r\n", "a", "X-Sum=1 x-b=2", ""},
		{"trailers that must not be", "0\r\nContent-Length: 1\r\nHost: b\r\nTransfer-Encoding: chunked\r\nX: 1\r\nY(: 2\r\n\r\n", "", "X=1", ""},
		{"the next request stays", "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "a", "", "GET / HTTP/1.1\r\n"},
		{"line ends are data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", "", ""},
	}
	for _, c := range cases {
		for how, conn := range map[string]func() io.Reader{
			"at once":      func() io.Reader { return &pieces{c.wire} },
			"byte by byte": func() io.Reader { return everyByte(c.wire) },
		} {
			for _, size := range []int{1, 3, 4096} {
				got, body, buf, err := readBody(conn(), size, BodyChunked, 0)
				if err != nil || got != c.want {
					t.Errorf("%s, %s, %d: got %q, %v", c.name, how, size, got, err)
				}
				var trailers []string
				for _, h := range body.Trailers() {
					trailers = append(trailers, string(h.Name)+"="+string(h.Value))
				}
				if s := strings.Join(trailers, " "); s != c.trailers {
					t.Errorf("%s, %s: trailers %q", c.name, how, s)
				}
				if how == "at once" && string(buf.Unread()) != c.rest {
					t.Errorf("%s: %q is left, want %q", c.name, buf.Unread(), c.rest)
				}
				if body.RawBytes != int64(len(c.wire)-len(c.rest)) {
					t.Errorf("%s: %d raw bytes", c.name, body.RawBytes)
				}
			}
		}
	}
}

func TestChunkedBodiesRefused(t *testing.T) {
	cases := []struct{ name, wire, words string }{
		{"no size", "\r\nabc\r\n0\r\n\r\n", "missing chunk size"},
		{"not a number", "xyz\r\n", "missing chunk size"},
		{"a sign", "+3\r\nabc\r\n", "missing chunk size"},
		{"a prefix", "0x3\r\nabc\r\n", "not a hexadecimal number"},
		{"a leading space", " 3\r\nabc\r\n", "missing chunk size"},
		{"digits behind a space", "1 1\r\na", "not a hexadecimal number"},
		{"line feed alone", "3\nabc\r\n", "not a hexadecimal number"},
		{"line feed in an extension", "3;x\nabc\r\n", "control character"},
		{"CR without LF", "3\rabc\r\n", "CRLF"},
		{"CR without LF in an extension", "3;x\ry\r\nabc", "CRLF"},
		{"runaway chunk", "4\r\nSEE-THIS\r\n0\r\n\r\n", "longer than the chunk size"},
		{"line feed alone after data", "3\r\nabc\n0\r\n\r\n", "longer than the chunk size"},
		{"2^63", "8000000000000000\r\n", "too large"},
		{"17 digits", "00000000000000001\r\n", "too large"},
		{"endless extension", "1;" + strings.Repeat("x", 5000) + "\r\n", "too long"},
		{"bare line feed in trailers", "0\r\nX: 1\n\r\n", "control character"},
		{"NUL in trailers", "0\r\nX: \x00\r\n\r\n", "control character"},
		{"no trailer name", "0\r\nfoo\r\n\r\n", "invalid trailer line"},
		{"endless trailers", "0\r\n" + strings.Repeat("X: 1\r\n", 2000) + "\r\n", "too long"},
		{"many trailers", "0\r\n" + strings.Repeat("X: 1\r\n", 101) + "\r\n", "too many"},
		{"more framing than data", strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 20), "too much chunk framing"},
	}
	for _, c := range cases {
		for how, conn := range map[string]io.Reader{"at once": &pieces{c.wire}, "byte by byte": everyByte(c.wire)} {
			_, body, _, err := readBody(conn, 4096, BodyChunked, 0)
			var p *Problem
			if !errors.As(err, &p) || p.Status != 400 || !strings.Contains(p.Text, c.words) {
				t.Errorf("%s, %s: got %v, want %q", c.name, how, err, c.words)
			}
			if _, again := body.Read(make([]byte, 1)); again != err {
				t.Errorf("%s: then %v", c.name, again)
			}
		}
	}
}

func TestBodiesCutShort(t *testing.T) {
	for _, wire := range []string{"5", "5\r\n", "5\r\nab", "5\r\nabcde", "5\r\nabcde\r\n", "5\r\nabcde\r\n0\r\n", "5\r\nabcde\r\n0\r\nX: 1\r\n"} {
		if _, _, _, err := readBody(&pieces{wire}, 10, BodyChunked, 0); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: got %v, want unexpected EOF", wire, err)
		}
	}
	if got, _, _, err := readBody(&pieces{"abc"}, 10, BodyLength, 4); err != io.ErrUnexpectedEOF || got != "abc" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestBodiesOfKnownLength(t *testing.T) {
	const wire = "abcdefGET /"
	for _, conn := range []io.Reader{&pieces{wire}, everyByte(wire), &pieces{"abc", "defGET /"}} {
		got, body, _, err := readBody(conn, 4, BodyLength, 6)
		if err != nil || got != "abcdef" || !body.Done() || body.Left() != 0 {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, _, _, err := readBody(everyByte(wire), 4, BodyUntilClose, 0); err != nil || got != wire {
		t.Errorf("until close: got %q, %v", got, err)
	}
}

// A chunked body that ends inside the caller's memory hands the next message back to the buffer.
func TestOvershootIsPushedBack(t *testing.T) {
	next := strings.Repeat("GET / HTTP/1.1\r\n", 1000)
	buf, body := &Buffer{}, &Body{}
	buf.Attach(&pieces{"x", "1\r\na\r\n0\r\n\r\n" + next})
	if err := buf.Fill(); err != nil {
		t.Fatal(err)
	}
	buf.Consume(1)
	body.StartRequest(buf, &RequestHead{Chunked: true, ContentLength: -1})
	p := make([]byte, 64<<10)
	n, err := body.Read(p)
	if string(p[:n]) != "a" || err != nil || !body.Done() {
		t.Fatalf("got %q, %v", p[:n], err)
	}
	if string(buf.Unread()) != next {
		t.Errorf("%d bytes are left, want %d", len(buf.Unread()), len(next))
	}
}

func TestDiscard(t *testing.T) {
	for _, c := range []struct {
		limit int64
		done  bool
	}{{1 << 20, true}, {1000, false}} {
		buf, body := &Buffer{}, &Body{}
		buf.Attach(&pieces{"ab", strings.Repeat("x", 30000)})
		body.StartRequest(buf, &RequestHead{ContentLength: 30002})
		if done, err := body.Discard(c.limit); done != c.done || err != nil {
			t.Errorf("limit %d: got %v, %v", c.limit, done, err)
		}
	}
}

// What net/http's writer writes, we read, in pieces of any size; and the other way round.
func TestChunksBesideNetHTTP(t *testing.T) {
	var wire, want strings.Builder
	w := httputil.NewChunkedWriter(&wire)
	for i := range 200 {
		piece := strings.Repeat(string(rune('a'+i%26)), i*i%777+1)
		want.WriteString(piece)
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	wire.WriteString("\r\n")
	for _, size := range []int{1, 7, 100, 1 << 20} {
		got, _, _, err := readBody(&pieces{wire.String()}, size, BodyChunked, 0)
		if err != nil || got != want.String() {
			t.Errorf("by %d: %d bytes, %v", size, len(got), err)
		}
	}
	var ours []byte
	for i := range 50 {
		piece := strings.Repeat("y", i+1)
		ours = AppendChunkSize(ours, len(piece))
		ours = append(ours, piece...)
		ours = append(ours, "\r\n"...)
	}
	ours = AppendLastChunk(ours, nil)
	got, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(string(ours))))
	if err != nil || len(got) != 50*51/2 {
		t.Errorf("they read %d bytes, %v", len(got), err)
	}
}

func ExampleBody_Take() {
	var buf Buffer
	var head RequestHead
	var body Body
	buf.Attach(&pieces{"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"})
	head.Reset()
	if err := ReadRequest(&buf, &head, &DefaultLimits); err != nil {
		fmt.Println(err)
	}
	body.StartRequest(&buf, &head)
	bytes, err := body.Take()
	fmt.Printf("%s %s %v %v\n", head.Path, bytes, body.Done(), err)
	// Output: /x abcde true <nil>
}
