package h1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func readResponse(t testing.TB, conn io.Reader, maxBytes int) (*ResponseHead, *Buffer, error) {
	t.Helper()
	b, h := &Buffer{}, &ResponseHead{}
	b.Attach(conn)
	h.Reset()
	err := ReadResponse(b, h, maxBytes)
	return h, b, err
}

func summaryOfResponse(h *ResponseHead) string {
	kind, length := h.Body(MethodGet)
	s := fmt.Sprintf("%d %q %s", h.Status, h.Reason, [...]string{"none", "length", "chunked", "close"}[kind])
	if kind == BodyLength {
		s += fmt.Sprint(" ", length)
	}
	if h.KeepAlive {
		s += " keep"
	}
	if h.Upgrade {
		s += " upgrade"
	}
	for _, header := range h.Headers {
		s += " | " + string(header.Name) + "=" + string(header.Value)
	}
	return s
}

func TestResponsesUnderstood(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", `200 "OK" length 2 keep | Content-Length=2`},
		{"line feeds alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", `200 "OK" none keep | Content-Length=0`},
		{"own reason", "HTTP/1.1 404 Nope, sorry\r\nContent-Length: 0\r\n\r\n", `404 "Nope, sorry" none keep | Content-Length=0`},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", `200 "" none keep | Content-Length=0`},
		{"sub-status of IIS", "HTTP/1.1 403.1 Forbidden\r\nContent-Length: 0\r\n\r\n", `403 ".1 Forbidden" none keep | Content-Length=0`},
		{"1.0 ends by closing", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx", `200 "OK" close | Connection=keep-alive`},
		{"until close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx", `200 "OK" close | Connection=close`},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", `200 "OK" chunked keep | Transfer-Encoding=CHUNKED`},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", `204 "No Content" none keep`},
		{"204 with a body is not kept", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", `204 "No Content" none | Content-Length=3`},
		{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", `304 "Not Modified" none keep | Content-Length=3`},
		{"101", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: ws\r\n\r\n", `101 "S" close upgrade | Connection=Upgrade | Upgrade=ws`},
		{"odd names stay", "HTTP/1.1 204 N\r\nx_y: 1\r\nx.y: 2\r\nBad(: 3\r\n\r\n", `204 "N" none keep | x_y=1 | x.y=2 | Bad(=3`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for how, conn := range map[string]io.Reader{"at once": &pieces{c.text}, "byte by byte": everyByte(c.text)} {
				h, _, err := readResponse(t, conn, 4096)
				if err != nil {
					t.Fatal(err)
				}
				if got := summaryOfResponse(h); got != c.want {
					t.Errorf("%s: got %s, want %s", how, got, c.want)
				}
			}
			theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(c.text)), nil)
			if err != nil {
				t.Logf("net/http refuses: %v", err)
			} else if h, _, _ := readResponse(t, &pieces{c.text}, 4096); theirs.StatusCode != h.Status {
				t.Errorf("net/http reads %d, we %d", theirs.StatusCode, h.Status)
			}
		})
	}
}

func TestResponsesRefused(t *testing.T) {
	cases := []struct{ name, text, words string }{
		{"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "at the same time"},
		{"both framings, other order", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "at the same time"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "duplicate header line"},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: foo\r\n\r\n", `invalid "Content-Length"`},
		{"two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "duplicate header line"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", "unknown"},
		{"no HTTP", "SSH-2.0-x\r\n", "no valid HTTP/1.0 header"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "no valid HTTP/1.0 header"},
		{"short status", "HTTP/1.1 20 OK\r\n\r\n", "no valid HTTP/1.0 header"},
		{"long status", "HTTP/1.1 2000 OK\r\n\r\n", "no valid HTTP/1.0 header"},
		{"status 099", "HTTP/1.1 099 OK\r\n\r\n", "no valid HTTP/1.0 header"},
		{"folded", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", "invalid header"},
		{"space before colon", "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", "invalid header"},
		{"no colon", "HTTP/1.1 200 OK\r\nX\r\n\r\n", "invalid header"},
		{"bare CR", "HTTP/1.1 200 OK\r\nX: 1\rY: 2\r\n\r\n", "invalid header"},
		{"bare CR in the status line", "HTTP/1.1 200 OK\rX: 1\r\n\r\n", "no valid HTTP/1.0 header"},
		{"NUL", "HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n", "invalid header"},
	}
	for _, c := range cases {
		for how, conn := range map[string]io.Reader{"at once": &pieces{c.text}, "byte by byte": everyByte(c.text)} {
			_, _, err := readResponse(t, conn, 4096)
			var p *Problem
			if !errors.As(err, &p) || p.Status != 502 || !strings.Contains(p.Text, "upstream sent ") || !strings.Contains(p.Text, c.words) {
				t.Errorf("%s, %s: got %v, want %q", c.name, how, err, c.words)
			}
		}
	}
}

func TestResponseHeadBound(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100) + "\r\n\r\n"
	if _, _, err := readResponse(t, &pieces{text}, len(text)); err != nil {
		t.Errorf("a head of just the bound: %v", err)
	}
	for _, conn := range []io.Reader{&pieces{text}, everyByte(text)} {
		if _, _, err := readResponse(t, conn, len(text)-1); err != ErrHeadTooBig {
			t.Errorf("got %v, want %v", err, ErrHeadTooBig)
		}
	}
}

func TestResponseEnds(t *testing.T) {
	if _, _, err := readResponse(t, &pieces{}, 4096); err != io.EOF {
		t.Errorf("a closed connection gives %v, want EOF", err)
	}
	for _, text := range []string{"H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: 1\r\n"} {
		if _, _, err := readResponse(t, &pieces{text}, 4096); err != io.ErrUnexpectedEOF {
			t.Errorf("%q gives %v, want unexpected EOF", text, err)
		}
	}
}

// TestInterimFraming: what an interim response says of a body is neither obeyed nor a reason to lose the answer behind
// it, but its connection is not used again.
func TestInterimFraming(t *testing.T) {
	for _, c := range []struct {
		fields string
		inStep bool
	}{
		{"Link: </x>|", true},
		{"Content-Length: 0|", true},
		{"Content-Length: 5|", false},
		{"Content-Length: 0|Content-Length: 0|", true},
		{"Content-Length: 0|Content-Length: 7|", false},
		{"Content-Length: five|", false},
		{"Content-Length: 99999999999999999999|", false},
		{"Transfer-Encoding: chunked|", false},
		{"Transfer-Encoding: gzip|", false},
		{"Transfer-Encoding: chunked|Transfer-Encoding: chunked|Content-Length: 3|", false},
		{"Connection: close|", false},
	} {
		for _, status := range []string{"100 Continue", "102 Processing", "103 Early Hints", "110 ?", "199 ?"} {
			b, h := &Buffer{}, &ResponseHead{}
			b.Attach(&pieces{strings.ReplaceAll("HTTP/1.1 "+status+"|"+c.fields+"|HTTP/1.1 200 OK|Content-Length: 2||ok", "|", "\r\n")})
			h.Reset()
			if err := ReadResponse(b, h, 4096); err != nil || !h.Interim() || h.KeepAlive != c.inStep || h.ContentLength != -1 || h.Chunked {
				t.Errorf("%s with %s: %v, keep-alive %v, length %d", status, c.fields, err, h.KeepAlive, h.ContentLength)
			}
			h.Reset()
			if err := ReadResponse(b, h, 4096); err != nil || h.Status != 200 || h.ContentLength != 2 || !h.KeepAlive {
				t.Errorf("behind %s with %s: %v, %q", status, c.fields, err, h.Line)
			}
		}
	}
}

func TestInterimResponses(t *testing.T) {
	b, h := &Buffer{}, &ResponseHead{}
	b.Attach(&pieces{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"})
	for _, want := range []int{100, 103, 204} {
		h.Reset()
		if err := ReadResponse(b, h, 4096); err != nil || h.Status != want || h.Interim() != (want < 200) {
			t.Fatalf("got %d, %v; want %d", h.Status, err, want)
		}
	}
}
