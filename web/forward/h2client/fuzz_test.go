package h2client

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"starling/upstream"
	"starling/web/forward"

	"golang.org/x/net/http2"
)

// FuzzServer sends what a server may send: nothing panics or hangs, and no more is kept than the windows allow.
func FuzzServer(f *testing.F) {
	f.Add([]byte(frame(http2.FrameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00") +
		frame(http2.FrameHeaders, endHead, 1, status200) +
		frame(http2.FrameData, endStream, 1, "x")))
	f.Add([]byte(frame(http2.FrameHeaders, 0, 1, status200) +
		frame(http2.FrameContinuation, endHead, 1, "\x40\x01a\x01b") +
		frame(http2.FrameHeaders, endHead|endStream, 1, "\xbe")))
	f.Add([]byte(frame(http2.FramePing, 0, 0, "12345678") +
		frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x01") +
		frame(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00")))
	f.Add([]byte(frame(http2.FrameHeaders, endHead, 1, "\x48\x03103") +
		frame(http2.FrameHeaders, endHead, 1, "\x48\x03200\x0f\x0d\x011") +
		frame(http2.FrameData, http2.FlagDataPadded|endStream, 1, "\x02abb")))
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := net.Pipe()
		c := &upstream.Conn{Conn: near}
		w := Open(c)
		go io.Copy(io.Discard, far)
		go func() {
			far.Write(said) // fails where the client closed first
			far.Close()
		}()
		c.SetDeadline(time.Now().Add(time.Minute))
		w.StartHead([]byte("POST"), false, []byte("/"), []byte("a"))
		if err := w.SendHead(Request{Framing: forward.Framing{Length: -1, Chunked: true}, HeadBytes: limit}, []byte("body")); err == nil {
			_, body, err := respond(w)
			if len(body) > len(said) || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d bytes of %d, %v", len(body), len(said), err)
			}
			if err == nil != w.BodyDone() {
				t.Fatalf("%v, but done is %v", err, w.BodyDone())
			}
		}
		c.Close()
		w.Close()
	})
}
