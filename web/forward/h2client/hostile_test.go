package h2client

import (
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// frame is a raw frame, for what a Framer does not write.
func frame(kind http2.FrameType, flags http2.Flags, id uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), byte(kind), byte(flags), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}) + payload
}

const (
	status200 = "\x88"
	endStream = http2.FlagDataEndStream
	endHead   = http2.FlagHeadersEndHeaders
)

func headers(flags http2.Flags, block string) string {
	return frame(http2.FrameHeaders, flags, 1, block)
}

func data(flags http2.Flags, n int) string {
	return frame(http2.FrameData, flags, 1, strings.Repeat("x", n))
}

var ok = headers(endHead, status200)

func literal(name, value string) string {
	return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
}

func text(n int) string {
	return "\x7f" + string([]byte{byte(n-127)&0x7f | 0x80, byte((n - 127) >> 7)}) + strings.Repeat("x", n)
}

func continuation(flags http2.Flags, block string) string {
	return frame(http2.FrameContinuation, flags, 1, block)
}

// hostile is what servers say, and why the log says that they are dropped.
var hostile = map[string]struct{ say, want string }{
	"HTTP/1":                    {"HTTP/1.1 400 Bad Request\r\n\r\n", `too large http2 frame: 4740180 ("HTTP/1.1 400 Bad Request": the server does not speak HTTP/2; enable`},
	"HTTP/1 without an end":     {"HTTP/1.0 " + strings.Repeat("x", 9000), `http2 frame: 4740180 ("HTTP/1.0 ` + strings.Repeat("x", shownBytes-9) + `": the server does not`},
	"an alert of TLS":           {"\x15\x03\x01\x00\x02\x02\x0a\x00\x00", "too large http2 frame: 1377025 (the server expects TLS: use https:// or grpcs://)"},
	"a long frame":              {frame(77, 0, 0, strings.Repeat("x", frameBytes+1)), "upstream sent too large http2 frame: 16385"},
	"DATA first":                {data(0, 1), "upstream sent unexpected http2 frame: 0"},
	"CONTINUATION first":        {continuation(endHead, status200), "upstream sent invalid http2 frame"},
	"a torn block":              {headers(0, status200) + frame(http2.FramePing, 0, 0, "12345678"), "upstream sent invalid http2 frame"},
	"an endless head":           {headers(0, status200) + strings.Repeat(continuation(0, literal("a", strings.Repeat("b", 60))), 400), "too big header"},
	"empty continuations":       {headers(0, status200) + strings.Repeat(continuation(0, ""), maxContinuations), "too big header"},
	"many size updates":         {headers(0, strings.Repeat("\x20", frameBytes)) + continuation(0, strings.Repeat("\x20", limit+1)), "too big header"},
	"a long field":              {headers(endHead, status200+"\x00\x01a"+text(limit)), "too big header"},
	"a field that expands":      {headers(endHead, status200+"\x40\x01a"+text(1000)+strings.Repeat("\xbe", 10)), "too big header"},
	"many fields":               {headers(endHead, status200+strings.Repeat("\x00\x01a\x00", maxFields+1)), "too big header"},
	"endless trailers":          {ok + headers(endStream, "") + strings.Repeat(continuation(0, literal("a", strings.Repeat("b", 60))), 400), "upstream sent too big trailers"},
	"a broken block":            {headers(endHead, "\xff\xff\xff\xff\xff\xff"), "upstream sent header block with too long integer"},
	"no such index":             {headers(endHead, status200+"\xbf"), "upstream sent invalid hpack table index 63"},
	"no status":                 {headers(endHead, literal("a", "b")), "upstream sent no :status header"},
	"two":                       {headers(endHead, status200+status200), "upstream sent duplicate :status header"},
	"a word as status":          {headers(endHead, literal(":status", "2xx")), `upstream sent invalid :status "2xx"`},
	"a long status":             {headers(endHead, literal(":status", "2000")), `upstream sent invalid :status "2000"`},
	"a status behind":           {headers(endHead, literal("a", "b")+status200), `upstream sent invalid header ":status: 200"`},
	"another pseudo-header":     {headers(endHead, status200+literal(":path", "/")), `upstream sent invalid header ":path: /"`},
	"a switch of protocols":     {headers(endHead, literal(":status", "101")), `upstream sent unexpected :status "101"`},
	"an interim end":            {headers(endHead|endStream, literal(":status", "103")), "upstream prematurely closed stream"},
	"endless interim heads":     {strings.Repeat(headers(endHead, literal(":status", "103")), maxInterim+1), "upstream sent too many interim responses"},
	"capitals":                  {headers(endHead, status200+literal("A", "b")), `upstream sent invalid header: "A: b"`},
	"a name that is none":       {headers(endHead, status200+literal("a b", "c")), `upstream sent invalid header: "a b: c"`},
	"a line in a value":         {headers(endHead, status200+literal("a", "b\nc")), "upstream sent invalid header"},
	"a wrong length":            {headers(endHead, status200+literal("content-length", "-1")), `upstream sent invalid "Content-Length" header: "-1"`},
	"two lengths":               {headers(endHead, status200+literal("content-length", "1")+literal("content-length", "1")), "upstream sent duplicate header line"},
	"less than declared":        {headers(endHead, status200+literal("content-length", "5")) + data(endStream, 4), "upstream prematurely closed stream"},
	"nothing of the declared":   {headers(endHead|endStream, status200+literal("content-length", "5")), "upstream prematurely closed stream"},
	"more than declared":        {headers(endHead, status200+literal("content-length", "5")) + data(0, 6), "upstream sent response body larger than indicated content length"},
	"a body of 204":             {headers(endHead, "\x89") + data(0, 1), "upstream sent response body larger than indicated content length"},
	"more than the window":      {ok + strings.Repeat(data(0, frameBytes), windowBytes/frameBytes+1), "upstream violated stream flow control, received 16384 data frame with window 0"},
	"padding beyond the window": {ok + strings.Repeat(frame(http2.FrameData, http2.FlagDataPadded, 1, "\xff"+strings.Repeat("x", 255)+strings.Repeat("y", frameBytes-256)), windowBytes/frameBytes+1), "upstream violated stream flow control"},
	"a second head":             {ok + ok, "upstream sent trailer without end stream flag"},
	"a status in trailers":      {ok + headers(endHead|endStream, status200), "upstream sent invalid trailer \":status: 200\""},
	"DATA after the end":        {headers(endHead|endStream, status200) + data(0, 1), "upstream sent frame for closed stream 1"},
	"a head after the end":      {headers(endHead|endStream, status200) + headers(endHead|endStream, status200), "upstream sent frame for closed stream 1"},
	"resets after the end":      {headers(endHead|endStream, status200) + strings.Repeat(frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x00"), 2), "upstream sent frame for closed stream 1"},
	"an error after the end":    {headers(endHead|endStream, status200) + frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x08"), "upstream rejected request with error 8"},
	"a reset":                   {frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x02"), "upstream rejected request with error 2"},
	"a reset without error":     {ok + frame(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x00"), "upstream rejected request with error 0"},
	"a push":                    {frame(http2.FramePushPromise, endHead, 1, "\x00\x00\x00\x02"+status200), "upstream sent unexpected push promise frame"},
	"another stream":            {frame(http2.FrameHeaders, endHead, 3, status200), "upstream sent frame for unknown stream 3"},
	"DATA of another stream":    {frame(http2.FrameData, 0, 2, "x"), "upstream sent data frame for unknown stream 2"},
	"a window of a future one":  {frame(http2.FrameWindowUpdate, 0, 5, "\x00\x00\x00\x01"), "upstream sent frame for unknown stream 5"},
	"a window of nothing":       {frame(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), "upstream sent invalid http2 frame"},
	"a too large window":        {frame(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), "upstream sent too large window update"},
	"the same of the stream":    {frame(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\xff\xff"), "upstream sent too large window update"},
	"the same by settings":      {frame(http2.FrameWindowUpdate, 0, 1, "\x00\x01\x00\x00") + frame(http2.FrameSettings, 0, 0, "\x00\x04\x7f\xff\xff\xff"), "too large initial window size"},
	"an invalid setting":        {frame(http2.FrameSettings, 0, 0, "\x00\x04\xff\xff\xff\xff"), "upstream sent invalid http2 frame"},
	"endless settings":          {strings.Repeat(frame(http2.FrameSettings, 0, 0, ""), maxAcks+1), "upstream sent too many settings frames"},
	"endless pings":             {strings.Repeat(frame(http2.FramePing, 0, 0, "12345678"), maxAcks+1), "upstream sent too many ping frames"},
	"an early end":              {ok, "EOF"},
	"the end of a frame":        {ok + data(0, 9)[:12], "EOF"},
}

// TestHostileServers: what a server may not send ends the connection, with the reason for the log, and at once.
func TestHostileServers(t *testing.T) {
	for name, test := range hostile {
		t.Run(name, func(t *testing.T) {
			w, s := open(t)
			ask(t, w, s, "")
			closed := make(chan struct{})
			go func() {
				io.Copy(io.Discard, s.conn) // the replies
				close(closed)
			}()
			io.WriteString(s.conn, test.say) // fails where the client has closed before the end
			s.conn.(*net.TCPConn).CloseWrite()
			<-closed
			_, _, err := respond(w)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if w.Reusable() || w.BodyDone() {
				t.Error("the connection can be used again")
			}
		})
	}
}
