package modules_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"starling/web/webtest"
)

// TestGRPCDeadline: a server that gives a call up at the deadline of its client (grpc-timeout) has not failed, and no
// other server gets the call. Any other reset is a failure.
func TestGRPCDeadline(t *testing.T) {
	const passes, comes = "10m", "1H" // the former before the server resets the stream, which waits for 20ms
	for _, c := range []struct {
		name, conf, timeout string
		code                http2.ErrCode
		headFirst           bool
		status              string
		fails               bool
	}{
		{name: "at the deadline", timeout: passes, code: http2.ErrCodeCancel, status: "504"},
		{name: "in other units", timeout: "9999999n", code: http2.ErrCodeCancel, status: "504"},
		{name: "at the deadline, in the body", timeout: passes, code: http2.ErrCodeCancel, headFirst: true, status: "200"},
		{name: "before the deadline", timeout: comes, code: http2.ErrCodeCancel, status: "502", fails: true},
		{name: "before the deadline, in the body", timeout: comes, code: http2.ErrCodeCancel, headFirst: true, status: "200", fails: true},
		{name: "without one", code: http2.ErrCodeCancel, status: "502", fails: true},
		{name: "with an invalid one", timeout: "10x", code: http2.ErrCodeCancel, status: "502", fails: true},
		{name: "with a long number", timeout: "000000001m", code: http2.ErrCodeCancel, status: "502", fails: true},
		{name: "for another reason", timeout: passes, code: http2.ErrCodeInternal, status: "502", fails: true},
		{name: "at a deadline of the configuration", conf: "grpc_set_header grpc-timeout 10m;", timeout: passes,
			code: http2.ErrCodeCancel, status: "502", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := speaksHTTP2(t, func(f *http2.Framer, stream uint32, head map[string]string) {
				if head[":path"] == "/next" {
					onlyHead(f, stream, head)
					return
				}
				if c.headFirst {
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status 200
				}
				<-time.After(20 * time.Millisecond) // the timer of the server
				f.WriteRSTStream(stream, c.code)
			})
			backup := speaksHTTP2(t, func(f *http2.Framer, stream uint32, _ map[string]string) {
				onlyHead(f, stream, map[string]string{":path": "backup"})
			})
			s := webtest.Start(t, grpcFamilies(), `upstream u { server `+first.Addr+`; server `+backup.Addr+` backup; }
				server { location / { grpc_pass u; grpc_next_upstream non_idempotent timeout; `+c.conf+` } }`)
			timeout := ""
			if c.timeout != "" {
				timeout = "grpc-timeout: " + c.timeout + "\r\n"
			}
			got := s.Send(strings.Replace(grpcPost, "Connection", timeout+"Connection", 1))
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
				t.Errorf("%q", got)
			}
			want := "x-path: /next\r\n"
			if c.fails {
				want = "x-path: backup\r\n"
			}
			if got := s.Get("/next"); !strings.Contains(got, want) {
				t.Errorf("afterwards %q, want %q\n%s", got, want, strings.Join(s.Log.Lines(), "\n"))
			}
		})
	}
}
