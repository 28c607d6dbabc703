package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"testing"
)

// cutAt delivers text in two reads.
func cutAt(text []byte, cut uint16) *pieces {
	at := int(cut) % (len(text) + 1)
	return &pieces{string(text[:at]), string(text[at:])}
}

// FuzzRequest holds three laws: how a request is cut into reads changes nothing; what we accept, written out again, we
// read the same; and net/http, if it accepts it too, sees the same method and framing.
func FuzzRequest(f *testing.F) {
	for _, c := range goodRequests {
		f.Add([]byte(c.text), uint16(7))
	}
	for _, c := range badRequests {
		f.Add([]byte(c.text), uint16(20))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		h, _, err := readRequest(t, &pieces{string(text)}, DefaultLimits)
		again, _, errAgain := readRequest(t, cutAt(text, cut), DefaultLimits)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("whole: %v, cut: %v", err, errAgain)
		}
		if err != nil {
			return
		}
		if summary(h) != summary(again) {
			t.Fatalf("whole: %s\ncut: %s", summary(h), summary(again))
		}
		if h.Version == Version09 {
			return
		}
		head := AppendRequestLine(nil, h.Method, h.Target, h.Version)
		if len(h.Scheme) > 0 || len(h.Target) == 0 || h.Target[0] != '/' {
			return
		}
		head = AppendHeadEnd(AppendHeaders(head, h.Headers, 0))
		ours, _, err := readRequest(t, &pieces{string(head)}, Limits{1 << 20, 4, 1 << 20, 1000, true, true, false})
		if err != nil || summary(ours) != summary(h) {
			t.Fatalf("forwarded as %q: %v", head, err)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return
		}
		length := max(h.ContentLength, 0)
		if h.Chunked {
			length = -1
		}
		if theirs.Method != string(h.Method) || theirs.ContentLength != length {
			t.Fatalf("%q: net/http reads %s %d", head, theirs.Method, theirs.ContentLength)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{upstreamResponse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 404\n\n",
		"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 403.1 F\r\nx_y : 1\r\n\r\n", "HTTP/1.1 204 N\r\n a: b\r\n\r\n"} {
		f.Add([]byte(s), uint16(9))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		h, _, err := readResponse(t, &pieces{string(text)}, 4096)
		again, _, errAgain := readResponse(t, cutAt(text, cut), 4096)
		if (err == nil) != (errAgain == nil) || err == nil && summaryOfResponse(h) != summaryOfResponse(again) {
			t.Fatalf("whole: %v, cut: %v", err, errAgain)
		}
		if err != nil {
			return
		}
		head := AppendHeadEnd(AppendHeaders(AppendStatusLine(nil, h.Status, h.Line), h.Headers, 0))
		ours, _, err := readResponse(t, &pieces{string(head)}, 1<<20)
		if err != nil || ours.Status != h.Status || !bytes.Equal(ours.Reason, h.Reason) || len(ours.Headers) != len(h.Headers) {
			t.Fatalf("forwarded as %q: %v", head, err)
		}
	})
}

// FuzzChunked: any cut and any size of read give the same; what we accept, net/http's reader decodes to the same bytes.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "3;x\r\nabc\r\n0\r\nX: 1\r\n\r\nrest", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "4\r\nSEE-THIS\r\n",
	} {
		f.Add([]byte(s), uint16(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, cut uint16, size uint8) {
		if len(wire) == 0 {
			return
		}
		want, body, buf, err := readBody(&pieces{string(wire)}, 1<<16, BodyChunked, 0)
		got, _, _, errAgain := readBody(cutAt(wire, cut), int(size)+1, BodyChunked, 0)
		if (err == nil) != (errAgain == nil) || err == nil && got != want {
			t.Fatalf("whole: %q %v, cut: %q %v", want, err, got, errAgain)
		}
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) && err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
			return
		}
		if body.RawBytes+int64(len(buf.Unread())) > int64(len(wire)) {
			t.Fatalf("%d raw bytes and %d left of %d", body.RawBytes, len(buf.Unread()), len(wire))
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire)))
		if err == nil && string(theirs) != want {
			t.Fatalf("net/http reads %q, we %q", theirs, want)
		}
	})
}

// FuzzNormalise: a path is absolute, without "." and ".." segments, never longer than what it came from.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"/a/../b", "//x/./y?z#q", "/%2e%2e/%2f", "?x", "/a%00", "/..."} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, target []byte, merge bool) {
		if len(target) == 0 || target[0] != '/' && target[0] != '?' {
			return
		}
		path, _, ok := Normalise(nil, target, merge)
		if !ok {
			return
		}
		if path[0] != '/' || len(path) > max(len(target), 1) {
			t.Fatalf("%q became %q", target, path)
		}
		for i, segment := range bytes.Split(path[1:], []byte("/")) {
			if s := string(segment); s == "." || s == ".." || merge && s == "" && i < bytes.Count(path[1:], []byte("/")) {
				t.Fatalf("%q became %q", target, path)
			}
		}
	})
}
