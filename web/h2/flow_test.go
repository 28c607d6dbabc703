package h2

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"starling/web/h1"
)

// What is sent keeps to the windows of stream and connection, and goes on when they are widened.
func TestSendWindows(t *testing.T) {
	body := strings.Repeat("x", 100000)
	c := connect(t, &answers{serve: func(s *Stream) {
		s.WriteHead(AppendStatus(nil, 200), false)
		s.Write([]byte(body), true, 8<<10, time.Minute)
	}}, testSettings)
	c.settings(settingInitialWindow, 5)
	c.expect("ACK")
	c.request(1, true)
	c.expect("HEADERS 1 false", "DATA 1 xxxxx false")
	c.widen(1, 3)
	c.expect("DATA 1 xxx false")
	c.settings(settingInitialWindow, 0) // makes the window negative
	c.expect("ACK")
	c.widen(1, 6)
	c.expect("DATA 1 x false")
	c.widen(1, 1<<20)
	got := 9
	for got < defaultWindow {
		p := c.data()
		if got += len(p); len(p) > 8<<10 {
			t.Fatalf("a frame of %d bytes", len(p))
		}
	}
	if got != defaultWindow {
		t.Fatalf("%d bytes came over a connection's window of %d", got, defaultWindow)
	}
	c.widen(0, 1<<20)
	for got < len(body) {
		got += len(c.data())
	}
}

func TestSendTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := make(chan error, 1)
		c := connect(t, &answers{serve: func(s *Stream) {
			s.WriteHead(AppendStatus(nil, 200), false)
			failure <- s.Write(make([]byte, 1<<20), true, 8<<10, time.Minute)
		}}, testSettings)
		go c.request(1, true)
		for {
			if f, _ := c.next(); f.kind != frameHeaders && f.kind != frameData {
				if f.String() != "RST 1 1" {
					t.Errorf("got %v", f)
				}
				break
			}
		}
		if err := <-failure; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// A body that nobody reads is taken up to the preread size; a stream that sends more is reset.
func TestReceiveWindow(t *testing.T) {
	settings := testSettings
	settings.PrereadBytes = 10
	release := make(chan struct{})
	handler := &answers{serve: func(s *Stream) { <-release; echo(s) }}
	c := connect(t, handler, settings)
	c.request(1, false)
	c.body(1, false, "0123456789")
	c.body(1, false, "x")
	c.expect("RST 1 3")
	c.request(3, false)
	c.body(3, false, "0123")
	c.ping() // answered only once the bytes are in: what is given back counts them
	c.expect("PING SEE-THIS true")
	close(release)
	c.expect("HEADERS 3 false", "WINDOW 3 262134")
	c.expect("DATA 3 0123 false")
	c.body(3, true, "45")
	c.expect("DATA 3 45 false", "DATA 3  true")
}

// Padding uses up the window like data; it is given back.
func TestPaddingIsGivenBack(t *testing.T) {
	c := connect(t, &answers{serve: echo}, testSettings)
	c.request(1, false)
	c.expect("HEADERS 1 false", "WINDOW 1 196608")
	sent := 0
	for sent < 2*readWindowBytes {
		c.raw(frame(frameData, flagPadded, 1, "\xff"+strings.Repeat("\x00", 255)))
		sent += 256
		if sent%readWindowBytes == readWindowBytes/2 {
			if got := c.read(); !strings.HasPrefix(got, "WINDOW 1 ") {
				t.Fatalf("got %s where the window should be widened", got)
			}
		}
	}
}

func TestBodyOfWrongLength(t *testing.T) {
	for _, c := range []struct{ declared, body string }{{"5", "1234"}, {"5", "123456"}} {
		problem := make(chan error, 1)
		client := connect(t, &answers{serve: func(s *Stream) {
			_, err := io.ReadAll(reader{s})
			problem <- err
			hello(s)
		}}, testSettings)
		client.request(1, false, "content-length "+c.declared)
		client.body(1, true, c.body)
		var p *h1.Problem
		if err := <-problem; !errors.As(err, &p) || p.Status != 400 {
			t.Errorf("%q of %s bytes: got %v", c.body, c.declared, err)
		}
	}
}

// reader makes a stream's body an io.Reader.
type reader struct{ s *Stream }

func (r reader) Read(p []byte) (int, error) { return r.s.Read(p, time.Minute) }

func TestTrailersOfRequestsAreRead(t *testing.T) {
	c := connect(t, &answers{serve: echo}, testSettings)
	c.request(1, false)
	c.expect("HEADERS 1 false", "WINDOW 1 196608")
	c.body(1, false, "body")
	c.expect("DATA 1 body false")
	c.raw(frame(frameHeaders, flagEndHeaders|flagEndStream, 1, string(c.head("x-sum 17"))))
	c.expect("DATA 1  true")
}

// A handler that answers early gets its answer through, and the client is told to stop.
func TestAnswerBeforeTheBody(t *testing.T) {
	c := connect(t, &answers{serve: hello}, testSettings)
	c.request(1, false)
	c.expect("HEADERS 1 false", "DATA 1 hello true", "RST 1 0")
	c.body(1, true, "late") // ignored
	c.request(3, true)
	c.expect("HEADERS 3 false", "DATA 3 hello true")
}

// TestResetsGoApart: no write holds the reset of a stream and the answer before it.
func TestResetsGoApart(t *testing.T) {
	for _, serve := range []func(*Stream){hello, func(s *Stream) { // an answer that is complete, and one that breaks off
		s.WriteHead(AppendStatus(nil, 200), false)
		s.Write([]byte("hel"), false, 8<<10, time.Minute)
	}} {
		c := connect(t, &answers{serve: serve}, testSettings)
		c.request(1, false)
		for writes := 1; ; writes++ {
			p := make([]byte, 64<<10)
			n, err := c.conn.Read(p) // of a pipe: what one write wrote
			if err != nil {
				t.Fatal(err)
			}
			reset, holds := appendFrameHead(nil, 4, frameReset, 0, 1), 0
			if holds = bytes.Index(p[:n], reset); holds < 0 {
				continue
			}
			if holds > 0 || writes == 1 {
				t.Errorf("write %d: %q", writes, p[:n])
			}
			break
		}
	}
}

func TestHandlerThatDoesNotAnswer(t *testing.T) {
	c := connect(t, &answers{serve: func(*Stream) {}}, testSettings)
	c.request(1, true)
	c.expect("RST 1 2")
}

func TestClientGivesUp(t *testing.T) {
	left := make(chan error, 1)
	c := connect(t, &answers{serve: func(s *Stream) {
		_, err := s.Read(make([]byte, 10), time.Hour)
		left <- err
	}}, testSettings)
	c.request(1, false)
	c.read() // WINDOW_UPDATE
	c.reset(1)
	if err := <-left; !errors.Is(err, ErrReset) {
		t.Errorf("got %v", err)
	}
	c.request(3, false)
	c.read()
	c.conn.Close()
	if err := <-left; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Who waits for more of the body has sent what was written: the client may be waiting for it.
func TestWaitingForTheBodySendsTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, &answers{serve: func(s *Stream) {
			if _, err := s.Read(make([]byte, 10), time.Minute); err != nil {
				t.Error(err)
			}
			synctest.Wait() // nothing is being written
			echo(s)
		}}, testSettings)
		c.request(1, false)
		c.expect("WINDOW 1 196608")
		c.body(1, false, "x")
		c.expect("HEADERS 1 false")
		c.body(1, true, "y")
		c.expect("DATA 1 y false", "DATA 1  true")
	})
}

func TestInterrupt(t *testing.T) {
	done := make(chan error, 2)
	c := connect(t, &answers{serve: func(s *Stream) {
		go func() {
			_, err := s.Read(make([]byte, 10), time.Hour)
			done <- err
		}()
		s.Interrupt()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.Resume()
		echo(s)
	}}, testSettings)
	c.request(1, false)
	c.expect("WINDOW 1 196608", "HEADERS 1 false")
	c.body(1, true, "x")
	c.expect("DATA 1 x false", "DATA 1  true")
}

// A head longer than a frame goes out in several.
func TestLongHead(t *testing.T) {
	value := []byte(strings.Repeat("\x01", 40000)) // not compressible
	c := connect(t, &answers{serve: func(s *Stream) {
		s.WriteHead(AppendField(AppendStatus(nil, 200), h1.HeaderOther, []byte("X-Long"), value), true)
	}}, testSettings)
	c.settings(settingHeaderTableBytes, 100)
	c.expect("ACK")
	c.request(1, true)
	f, _ := c.next()
	if f.kind != frameHeaders || f.has(flagEndHeaders) || !f.has(flagEndStream) || f.payload[0] != 0x20 {
		t.Fatalf("the first frame: %v, beginning with % x", f, f.payload[:3])
	}
	n := f.length
	for !f.has(flagEndHeaders) {
		if f, _ = c.next(); f.kind != frameContinuation {
			t.Fatalf("got %v, want CONTINUATION", f)
		}
		n += f.length
	}
	if n < 40000 {
		t.Errorf("a block of %d bytes", n)
	}
}

// The queue gives back what was put in, however it is cut.
func TestBodyQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q bodyQueue
		defer q.release()
		var want, got []byte
		var taken [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				p := rapid.SliceOfN(rapid.Byte(), 1, 6000).Draw(t, "put")
				q.put(p)
				want = append(want, p...)
			case 3, 4:
				if q.len() > 0 {
					p := make([]byte, rapid.IntRange(1, 9000).Draw(t, "get"))
					got = append(got, p[:q.get(p)]...)
				}
			case 5:
				b := q.take()
				taken = append(taken, b, bytes.Clone(b))
				got = append(got, b...)
			}
		}
		got = append(got, q.take()...)
		if !bytes.Equal(got, want) {
			t.Fatal("what came out is not what went in")
		}
		for i := 0; i < len(taken); i += 2 {
			if !bytes.Equal(taken[i], taken[i+1]) {
				t.Fatal("what was handed out has changed")
			}
		}
	})
}
