package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/lib/testkit"
)

func TestAppendRequest(t *testing.T) {
	headers := Headers{{Name: []byte("x-A"), Value: []byte("1")}, {Name: []byte("connection"), Value: []byte("close"), ID: HeaderConnection}}
	head := AppendRequestLine(nil, "GET", "/a?b", Version11)
	head = AppendKnown(head, HeaderHost, "h")
	head = AppendHeaders(head, headers, HopByHop)
	head = AppendHeader(head, "X-B", []byte("2"))
	head = AppendHeadEnd(head)
	if want := "GET /a?b HTTP/1.1\r\nHost: h\r\nx-A: 1\r\nX-B: 2\r\n\r\n"; string(head) != want {
		t.Errorf("got %q, want %q", head, want)
	}
	if got := AppendRequestLine(nil, "GET", "/a b\r\nX: y\x7f", Version10); string(got) != "GET /a%20b%0D%0AX:%20y%7F HTTP/1.0\r\n" {
		t.Errorf("a target broke out: %q", got)
	}
	if got := AppendHeader(nil, "Location", "/a\r\nX: y\x00"); string(got) != "Location: /a  X: y \r\n" {
		t.Errorf("a value broke out: %q", got)
	}
}

func TestAppendStatusLine(t *testing.T) {
	cases := []struct {
		status int
		line   string
		want   string
	}{
		{200, "", "HTTP/1.1 200 OK\r\n"},
		{503, "", "HTTP/1.1 503 Service Temporarily Unavailable\r\n"},
		{299, "", "HTTP/1.1 299 \r\n"},
		{777, "", "HTTP/1.1 777 \r\n"},
		{404, "404 Gone fishing", "HTTP/1.1 404 Gone fishing\r\n"},
	}
	for _, c := range cases {
		if got := AppendStatusLine(nil, c.status, []byte(c.line)); string(got) != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestDateClock(t *testing.T) {
	var c DateClock
	for _, second := range []int64{0, 784111777, 784111777, 1795439000} {
		got := c.Append([]byte("Date: "), second)
		if want := "Date: " + time.Unix(second, 0).UTC().Format(http.TimeFormat); string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestKnownNames(t *testing.T) {
	seen := map[string]bool{}
	for id := HeaderOther + 1; id < knownCount; id++ {
		name := id.String()
		if name == "" || seen[name] || len(name) > maxKnownBytes {
			t.Errorf("header %d: bad name %q", id, name)
		}
		seen[name] = true
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := Identify([]byte(spelling)); got != id {
				t.Errorf("%q is taken for %q", spelling, got)
			}
		}
	}
	for _, other := range []string{"", "hos", "hostt", "X-Foo", "content_length", "Content-Length ", strings.Repeat("x", 100)} {
		if got := Identify([]byte(other)); got != HeaderOther {
			t.Errorf("%q is taken for %q", other, got)
		}
	}
	if knownCount > 64 {
		t.Error("KnownSet is too small")
	}
}

// Every way a Writer may go (join, vector, separate writes) gives the same bytes.
func TestWriterPaths(t *testing.T) {
	for _, size := range []int{0, 1, 100, 3000, 20000, 300000} {
		body := bytes.Repeat([]byte("b"), size)
		near, far := socketPair(t)
		var plain bytes.Buffer
		for name, conn := range map[string]io.Writer{"socket": near, "other": &plain} {
			var w Writer
			w.Attach(conn)
			done := make(chan error, 1)
			go func() {
				head := AppendHeadEnd(AppendContentLength(AppendStatusLine(w.Start(), 200, nil), int64(size)))
				err := w.Write(head, body)
				if err == nil {
					head = AppendHeadEnd(AppendChunkedCoding(AppendStatusLine(w.Start(), 200, nil)))
					err = w.WriteChunk(head, body, false)
				}
				if err == nil {
					err = w.WriteChunk(nil, body, true)
				}
				done <- err
			}()
			var from io.Reader = far
			if name == "other" {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				from = &plain
			}
			r := bufio.NewReader(from)
			total := 0
			for i, want := range []int{size, 2 * size} {
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("%s, %d bytes, response %d: %v", name, size, i, err)
				}
				got, err := io.ReadAll(res.Body)
				if err != nil || len(got) != want {
					t.Fatalf("%s, %d bytes, response %d: got %d, %v", name, size, i, len(got), err)
				}
				total += len(got)
			}
			if name == "socket" {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			if w.Bytes < int64(total) {
				t.Errorf("%s: counted %d bytes of at least %d", name, w.Bytes, total)
			}
			w.Release()
		}
	}
}

func TestWriteTrailers(t *testing.T) {
	var out bytes.Buffer
	var w Writer
	w.Attach(&out)
	if err := w.WriteChunk(nil, []byte("ab"), false); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteLastChunk(Headers{{Name: []byte("X"), Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "2\r\nab\r\n0\r\nX: 1\r\n\r\n" || w.Bytes != int64(len(got)) {
		t.Errorf("got %q, counted %d", got, w.Bytes)
	}
}

// TestWriterOnSockets: what does not fit at once goes out when there is room, and failures are those of a connection.
func TestWriterOnSockets(t *testing.T) {
	near, far := socketPair(t)
	var w Writer
	w.Attach(near)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<21) // more than two sockets hold
	read := make(chan []byte, 1)
	go func() {
		all, err := io.ReadAll(io.LimitReader(far, int64(len(big))))
		if err != nil {
			t.Error(err)
		}
		read <- all
	}()
	if err := w.Write(big); err != nil || w.Bytes != int64(len(big)) {
		t.Fatalf("%d bytes, %v", w.Bytes, err)
	}
	if !bytes.Equal(<-read, big) {
		t.Error("what came is not what was sent")
	}
	// Nobody reads now: the deadline ends the wait, and what went out before is counted.
	if err := near.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	before := w.Bytes
	if err := w.Write(big); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if sent := w.Bytes - before; sent <= 0 || sent >= int64(len(big)) {
		t.Errorf("%d bytes counted", sent)
	}
	if err := near.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	far.Close() // with bytes unread: a reset
	testkit.Eventually(t, time.Minute, func() error {
		if err := w.Write([]byte("x")); errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		return errors.New("writing to a closed connection goes on")
	})
	near.Close()
	if err := w.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want that it is closed", err)
	}
}
