package h1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pieces is a connection that delivers one piece per read and then ends.
type pieces []string

func (p *pieces) Read(b []byte) (int, error) {
	for len(*p) > 0 && (*p)[0] == "" {
		*p = (*p)[1:]
	}
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	(*p)[0] = (*p)[0][n:]
	return n, nil
}

// everyByte delivers a text byte by byte.
func everyByte(text string) *pieces {
	p := pieces(strings.Split(text, ""))
	return &p
}

func readRequest(t testing.TB, conn io.Reader, l Limits) (*RequestHead, *Buffer, error) {
	t.Helper()
	b, h := &Buffer{}, &RequestHead{}
	b.Attach(conn)
	h.Reset()
	err := ReadRequest(b, h, &l)
	return h, b, err
}

// summary is a head in words, for tables.
func summary(h *RequestHead) string {
	var s strings.Builder
	s.WriteString(string(h.Method) + " " + string(h.Path))
	if len(h.Args) > 0 {
		s.WriteString(" ?" + string(h.Args))
	}
	if len(h.Host) > 0 {
		s.WriteString(" @" + string(h.Host))
	}
	flags := []struct {
		name string
		on   bool
	}{{"keep", h.KeepAlive}, {"chunked", h.Chunked}, {"continue", h.ExpectContinue}, {"upgrade", h.Upgrade},
		{"body", h.HasBody()}, {"1.0", h.Version == Version10}, {"0.9", h.Version == Version09}}
	for _, f := range flags {
		if f.on {
			s.WriteString(" " + f.name)
		}
	}
	for _, header := range h.Headers {
		s.WriteString(" | " + string(header.Name) + "=" + string(header.Value))
	}
	return s.String()
}

var goodRequests = []struct{ name, text, want string }{
	{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a keep | Host=a"},
	{"line feeds alone end lines, as for nginx", "GET / HTTP/1.1\nHost: a\n\n", "GET / @a keep | Host=a"},
	{"empty lines before", "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a keep | Host=a"},
	{"order and case stay", "GET / HTTP/1.1\r\nx-B: 1\r\nHOST: a\r\nX-b: 2\r\n\r\n", "GET / @a keep | x-B=1 | HOST=a | X-b=2"},
	{"white space around values", "GET / HTTP/1.1\r\nHost:\t a \t\r\nX:\r\n\r\n", "GET / @a keep | Host=a | X="},
	{"query", "GET /a?b?c=%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a ?b?c=%zz @a keep | Host=a"},
	{"encoded path", "GET /%61/../b//c/./d HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b/c/d @a keep | Host=a"},
	{"host with port and capitals", "GET / HTTP/1.1\r\nHost: EXample.com.:81\r\n\r\n", "GET / @example.com keep | Host=EXample.com.:81"},
	{"absolute form wins over Host", "GET http://B:8/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x @b keep | Host=a"},
	{"absolute form without path", "GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET / ?q @b keep | Host=a"},
	{"absolute form with port and IPv6", "GET http://[::1]:8/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x @[::1] keep | Host=a"},
	{"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / @[::1] keep | Host=[::1]:80"},
	{"1.0 closes", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0"},
	{"1.0 kept on demand", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / keep 1.0 | Connection=Keep-Alive"},
	{"1.1 closed on demand", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", "GET / @a | Host=a | Connection=x, close"},
	{"close beats keep-alive", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
		"GET / @a | Host=a | Connection=close | Connection=keep-alive"},
	{"1.7 is 1.1", "GET / HTTP/1.7\r\nHost: a\r\n\r\n", "GET / @a keep | Host=a"},
	{"0.9", "GET /x\r\n", "GET /x 0.9"},
	{"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST / @a keep body | Host=a | Content-Length=3"},
	{"chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "POST / @a keep chunked body | Host=a | Transfer-Encoding=Chunked"},
	{"expect", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
		"PUT / @a keep continue body | Host=a | Expect=100-Continue | Content-Length=1"},
	{"upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET / @a keep upgrade | Host=a | Connection=keep-alive, Upgrade | Upgrade=websocket"},
	{"own methods", "MY_M-ETHOD / HTTP/1.1\r\nHost: a\r\n\r\n", "MY_M-ETHOD / @a keep | Host=a"},
	{"odd names are left out", "GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nx.y: 2\r\n\r\n", "GET / @a keep | Host=a"},
	{"bytes beyond ASCII in values", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xc3\xa4\r\n\r\n", "GET / @a keep | Host=a | X=\xff\xc3\xa4"},
}

func TestRequestsUnderstood(t *testing.T) {
	for _, c := range goodRequests {
		t.Run(c.name, func(t *testing.T) {
			whole, _, err := readRequest(t, &pieces{c.text}, DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, summary(whole)); diff != "" {
				t.Error(diff)
			}
			split, _, err := readRequest(t, everyByte(c.text), DefaultLimits)
			if err != nil {
				t.Fatalf("byte by byte: %v", err)
			}
			if diff := cmp.Diff(summary(whole), summary(split)); diff != "" {
				t.Errorf("byte by byte: %s", diff)
			}
			for cut := range len(c.text) {
				h, _, err := readRequest(t, &pieces{c.text[:cut], c.text[cut:]}, DefaultLimits)
				if err != nil || summary(h) != c.want {
					t.Fatalf("cut at %d: %v, %s", cut, err, summary(h))
				}
			}
		})
	}
}

// lax are the bad requests that net/http's reader takes (it checks Host elsewhere, and folds equal lengths); we need
// not agree.
const lax = true

var badRequests = []struct {
	name   string
	text   string
	status int
	words  string
	lax    bool
}{
	{"both framings", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "at the same time", lax},
	{"both framings, other order", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, "at the same time", lax},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400, "duplicate header line", false},
	{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, "duplicate header line", lax},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400, "invalid \"Content-Length\"", false},
	{"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400, "invalid \"Content-Length\"", false},
	{"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400, "invalid \"Content-Length\"", false},
	{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400, "invalid \"Content-Length\"", false},
	{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "invalid \"Content-Length\"", lax},
	{"length of 2^63", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", 400, "invalid \"Content-Length\"", false},
	{"two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "duplicate header line", false},
	{"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501, "unknown \"Transfer-Encoding\"", false},
	{"gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "unknown \"Transfer-Encoding\"", false},
	{"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501, "unknown \"Transfer-Encoding\"", false},
	{"vertical tab coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n", 400, "invalid header line", false},
	{"coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0 request with \"Transfer-Encoding\"", lax},
	{"space before colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n", 400, "invalid header line", lax},
	{"tab before colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 3\r\n\r\n", 400, "invalid header line", false},
	{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400, "invalid header line", lax},
	{"folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "invalid header line", false},
	{"bare CR in value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", 400, "invalid header line", false},
	{"two CR", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "invalid header line", lax},
	{"bare CR ends the line", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "invalid request", false},
	{"NUL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400, "invalid header line", false},
	{"NUL in name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n", 400, "invalid header line", false},
	{"no name", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400, "invalid header line", false},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "invalid header line", false},
	{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "without \"Host\" header", lax},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "duplicate host header", false},
	{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "invalid host header", lax},
	{"host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "invalid host header", lax},
	{"host of dots", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, "invalid host header", lax},
	{"host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "invalid host header", lax},
	{"port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "invalid host header", lax},
	{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid method", lax},
	{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400, "invalid method", false},
	{"space before method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid method", false},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"space after version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"control in target", "GET /\x02 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"asterisk, as nginx", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"absolute form with an odd host", "GET http://a*/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"absolute form with an underscore", "GET http://a_b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"absolute form with an odd port", "GET http://a:8x/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"absolute form with a fragment", "GET http://a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"absolute form with text after brackets", "GET http://[::1]x/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"HTTP/2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "invalid version", lax},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"lower-case protocol", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", false},
	{"POST in 0.9", "POST /\r\n\r\n", 400, "HTTP/0.9", false},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "TRACE method", lax},
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT method", lax},
	{"CONNECT without port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid request", lax},
	{"endless method", strings.Repeat("A", 65) + " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid method", lax},
	{"endless empty lines", strings.Repeat("\r\n", 40) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "empty lines", lax},
	{"two authorizations", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n", 400, "duplicate header line", lax},
}

func TestRequestsRefused(t *testing.T) {
	for _, c := range badRequests {
		t.Run(c.name, func(t *testing.T) {
			for how, conn := range map[string]io.Reader{"at once": &pieces{c.text}, "byte by byte": everyByte(c.text)} {
				_, _, err := readRequest(t, conn, DefaultLimits)
				var p *Problem
				if !errors.As(err, &p) {
					t.Fatalf("%s: got %v, want a Problem", how, err)
				}
				if p.Status != c.status || !strings.Contains(p.Text, c.words) {
					t.Errorf("%s: got %d %q, want %d %q", how, p.Status, p.Text, c.status, c.words)
				}
			}
		})
	}
}

// What can be no request is refused at once, as in nginx; what still can be one is awaited.
func TestBeginningsOfRequests(t *testing.T) {
	const line = "GET / HTTP/1.1\r\n"
	for _, c := range []struct {
		text   string
		status int // 0: the rest is awaited
	}{
		{"GET /\x00", 400}, {"GET /a\x00b", 400}, {"GET /?a\x00", 400}, {"GET \x00", 400}, {"GET http://a\x00", 400},
		{"GET /\x01", 400}, {"GET /\t", 400}, {"GET /\x7f", 400}, {"GET /\rx", 400}, {"GET *", 400}, {"GET  ", 400},
		{"GET / FOO", 400}, {"GET / HTTP/0", 400}, {"GET / HTTP/1.1x", 400}, {"GET / HTTP/1.1 ", 400}, {"GET / HTTP/1.1\rx", 400},
		{"GET / HTTP/1x", 400}, {"GET / HTTP/1.x", 400}, {"GET / HTTP/2", 505}, {"GET / HTTP/10", 505}, {"PRI * HTTP/2", 400},
		{line + "Ho\x00", 400}, {line + "X: \x00", 400}, {line + "X: a\rb", 400}, {line + "X: \x01", 400},
		{line + "Host : a", 400}, {line + "Host ", 400}, {line + "\tX", 400}, {line + " a", 400}, {line + ":", 400}, {line + "X: 1\r\n :", 400},
		{"GET", 0}, {"GET ", 0}, {"GET /a", 0}, {"GET /\r", 0}, {"GET / ", 0}, {"GET / \r", 0}, {"GET / H", 0}, {"GET / HTTP/", 0},
		{"GET / HTTP/1.1", 0}, {"GET / HTTP/1.1\r", 0}, {"GET http:", 0}, {"CONNECT 1", 0}, {"GET /%zz", 0}, {"\r", 0},
		{line + "X", 0}, {line + "X: a\tb", 0}, {line + "X@(: :", 0}, {line + "X:", 0}, {line + "X: a\r", 0}, {line + "\r", 0},
	} {
		var b Buffer
		var h RequestHead
		b.Attach(&pieces{c.text})
		h.Reset()
		if err := b.Fill(); err != nil {
			t.Fatal(err)
		}
		whole, err := h.Parse(&b, &DefaultLimits)
		var p *Problem
		if errors.As(err, &p); whole || (p == nil) != (c.status == 0) || p != nil && p.Status != c.status {
			t.Errorf("%q: got %v %v, want %d", c.text, whole, err, c.status)
		}
		b.Release()
	}
}

// Where we understand a request, net/http's reader must understand the same; where it refuses one, we must too.
func TestRequestsBesideNetHTTP(t *testing.T) {
	for _, c := range badRequests {
		_, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.text)))
		if err == nil && !c.lax {
			t.Errorf("%s: net/http takes it: mark it lax or think again", c.name)
		}
	}
	for _, c := range goodRequests {
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(c.text, "\r\n"))))
		if err != nil {
			t.Logf("%s: net/http refuses: %v", c.name, err)
			continue
		}
		compareWithNetHTTP(t, c.name, c.text, theirs)
	}
}

func compareWithNetHTTP(t *testing.T, name, text string, theirs *http.Request) {
	t.Helper()
	ours, _, err := readRequest(t, &pieces{text}, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	length := ours.ContentLength
	if ours.Chunked {
		length = -1
	} else if length < 0 {
		length = 0
	}
	if theirs.Method != string(ours.Method) || theirs.ContentLength != length || theirs.Close == ours.KeepAlive {
		t.Errorf("%s: theirs %s %d close=%v, ours %s", name, theirs.Method, theirs.ContentLength, theirs.Close, summary(ours))
	}
	for _, h := range ours.Headers {
		if ours.Seen.Has(h.ID) && h.ID != HeaderHost && h.ID != HeaderTransferEncoding && theirs.Header.Get(string(h.Name)) == "" {
			t.Errorf("%s: they miss %s", name, h.Name)
		}
	}
}

func TestOddHeaderNames(t *testing.T) {
	const text = "GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n_z: 2\r\nx.y: 3\r\n</k>: 4\r\n\r\n"
	cases := []struct {
		name   string
		limits Limits
		want   string
	}{
		{"ignored by default", Limits{}, "GET / @a keep | Host=a"},
		{"underscores_in_headers on", Limits{UnderscoresAreValid: true}, "GET / @a keep | Host=a | x_y=1 | _z=2"},
		{"ignore_invalid_headers off", Limits{PassInvalidHeaders: true}, "GET / @a keep | Host=a | x_y=1 | _z=2 | x.y=3"},
	}
	for _, c := range cases {
		l := DefaultLimits
		l.PassInvalidHeaders, l.UnderscoresAreValid = c.limits.PassInvalidHeaders, c.limits.UnderscoresAreValid
		h, _, err := readRequest(t, &pieces{text}, l)
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(h); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestHTTP2Preface(t *testing.T) {
	for text, want := range map[string][2]bool{
		"": {false, true}, "P": {false, true}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00": {true, false}, "POST / ": {false, true}, "GET": {false, true},
		"PRI * HTTP/2.0\r\n": {true, false}, "PRI * HTTP/2.0\r": {false, true}, "PRI * HTTP/2.0\r\n\r\nXX": {true, false},
		"INVALID CONNECTION PREFACE\r\n\r\n": {true, false}, "INVALID CONNECTION PREFACE": {false, true}, "GET /\r\n": {false, false},
		"GET / HTTP/1.1\r\n": {false, false}, "GET /a b HTTP/1.1\r\n": {false, false}, "GET /a HTTP/x\n": {false, false}, "\r\n": {false, false},
		"GET /" + strings.Repeat("a", 60): {false, false}, "\x16\x03\x01\x02\x00": {false, false}, "get / ": {false, false}, "P\x00": {false, false},
		"M-SEARCH": {false, true}, "\r": {false, false},
	} {
		if is, maybe := HTTP2Preface([]byte(text)); is != want[0] || maybe != want[1] {
			t.Errorf("%q: got %v %v", text, is, maybe)
		}
	}
}

func TestResetShrinks(t *testing.T) {
	var text strings.Builder
	text.WriteString("GET /%61" + strings.Repeat("x", 3000) + " HTTP/1.1\r\nHost: a\r\n")
	for range 200 {
		text.WriteString("X: 1\r\n")
	}
	h, _, err := readRequest(t, &pieces{text.String() + "\r\n"}, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if h.Reset(); cap(h.Headers) > maxKeptHeaders || cap(h.scratch) > maxScratchBytes {
		t.Errorf("keeps %d headers and %d bytes", cap(h.Headers), cap(h.scratch))
	}
}
