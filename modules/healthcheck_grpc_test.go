package modules_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"starling/lib/certs"
	module "starling/modules/web/grpc"
	"starling/web"
	"starling/web/webtest"
)

// grpcChecked starts a configuration with health checks in a location with grpc_pass; text is in the location.
func grpcChecked(t *testing.T, address, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, append([]*web.Module{&module.Module}, checkedFamilies...),
		"upstream u { zone u 64k; server "+address+"; }\nserver { location / { grpc_pass u; "+text+" } }", options...)
}

// grpcServer starts a gRPC server, if health is not nil with the health service.
func grpcServer(t *testing.T, health healthpb.HealthServer, options ...grpc.ServerOption) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	if health != nil {
		healthpb.RegisterHealthServer(s, health)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// TestGRPCHealthChecks of real servers: type=grpc asks the gRPC health service.
func TestGRPCHealthChecks(t *testing.T) {
	state := health.NewServer()
	state.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	state.SetServingStatus("ready.Service", healthpb.HealthCheckResponse_SERVING)
	state.SetServingStatus("busy.Service", healthpb.HealthCheckResponse_NOT_SERVING)
	with, without := grpcServer(t, state), grpcServer(t, nil)
	for _, c := range []struct{ address, parameters, want string }{
		{with, "", "healthy while checking serving status"},
		{with, "grpc_service=ready.Service", "healthy while checking serving status"},
		{with, "grpc_service=busy.Service", "unhealthy while checking serving status: serving status NOT_SERVING"},
		{with, "grpc_service=none.Service", "unhealthy while checking gRPC status: gRPC status 5 (NotFound)"},
		{with, "grpc_status=12", "healthy while checking serving status"},
		{with, "grpc_service=busy.Service grpc_status=12", "unhealthy while checking serving status: serving status NOT_SERVING"},
		{with, "grpc_service=none.Service grpc_status=5", "healthy while checking gRPC status"},
		{without, "", "unhealthy while checking gRPC status: gRPC status 12 (Unimplemented)"},
		{without, "grpc_status=12", "healthy while checking gRPC status"},
		{without, "grpc_status=5", "unhealthy while checking gRPC status: gRPC status 12 (Unimplemented)"},
	} {
		s := grpcChecked(t, c.address, "health_check mandatory type=grpc "+c.parameters+";")
		step, reason, fails := strings.Cut(c.want, ": ")
		want := fmt.Sprintf("peer is %s, health check \"\" of peer %s in upstream \"u\"", step, c.address)
		if fails {
			want += ": " + reason
		}
		if got := s.AwaitLog("peer is"); !strings.HasSuffix(got, "] "+want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.parameters, got, want)
		}
	}
}

// TestGRPCHealthChecksFollow the server: what it says next changes its health.
func TestGRPCHealthChecksFollow(t *testing.T) {
	for _, keep := range []string{"", "keepalive_time=1h"} {
		state := health.NewServer()
		s := grpcChecked(t, grpcServer(t, state), "health_check interval=5ms "+keep+" type=grpc;")
		for range 3 {
			state.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
			if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is unhealthy while checking serving status") {
				t.Fatal(got)
			}
			state.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
			if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is healthy while checking serving status") {
				t.Fatal(got)
			}
		}
	}
}

// TestGRPCHealthChecksOverTLS use grpcs:// and grpc_ssl_… of the location.
func TestGRPCHealthChecksOverTLS(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair("app.example")
	if err != nil {
		t.Fatal(err)
	}
	address := grpcServer(t, health.NewServer(), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}})))
	for _, c := range []struct{ name, want string }{
		{"app.example", "healthy while checking serving status"},
		{"other.example", "unhealthy while SSL handshaking to upstream"},
	} {
		s := webtest.Start(t, append([]*web.Module{&module.Module}, checkedFamilies...), `upstream u { zone u 64k; server `+address+`; }
			server { location / { grpc_pass grpcs://u; grpc_ssl_verify on; grpc_ssl_trusted_certificate /ca.pem; grpc_ssl_name `+c.name+`;
				health_check mandatory type=grpc; } }`, webtest.File("/ca.pem", string(ca.PEM)))
		if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is "+c.want) {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
}

// call is a request to a scripted server of HTTP/2.
type call struct {
	*http2.Framer
	stream uint32
	lines  []string
	body   []byte
}

// head sends a head, or trailers.
func (q *call) head(end bool, lines ...string) error {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ": ")
		e.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: value})
	}
	return q.WriteHeaders(http2.HeadersFrameParam{StreamID: q.stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// answer sends a response with a body and trailers.
func (q *call) answer(body string, trailers ...string) {
	q.head(false, ":status: 200", "content-type: application/grpc")
	q.WriteData(q.stream, false, []byte(body))
	q.head(true, trailers...)
}

// scripted starts a server of HTTP/2 that runs script for each whole request.
func scripted(t *testing.T, script func(q *call)) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		io.ReadFull(p.R, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(p.Conn, p.R)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.WriteSettings()
		q := &call{Framer: f}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			ended := false
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				*q = call{Framer: f, stream: frame.StreamID}
				for _, field := range frame.Fields {
					q.lines = append(q.lines, field.Name+": "+field.Value)
				}
				ended = frame.StreamEnded()
			case *http2.DataFrame:
				q.body = append(q.body, frame.Data()...)
				ended = frame.StreamEnded()
			}
			if ended {
				script(q)
			}
		}
	})
}

const servingMessage = "\x00\x00\x00\x00\x02\x08\x01"

// TestGRPCHealthCheckRequests: what a server gets.
func TestGRPCHealthCheckRequests(t *testing.T) {
	for _, c := range []struct{ text, head, body string }{
		{"health_check type=grpc;", ":method: POST|:scheme: http|:path: /grpc.health.v1.Health/Check|:authority: u|" +
			"te: trailers|content-type: application/grpc", "\x00\x00\x00\x00\x00"},
		{"grpc_set_header Host app.example; grpc_set_header X-Method $request_method; health_check type=grpc grpc_service=a.B;",
			":method: POST|:scheme: http|:path: /grpc.health.v1.Health/Check|:authority: app.example|te: trailers|x-method: POST|" +
				"content-type: application/grpc", "\x00\x00\x00\x00\x05\x0a\x03a.B"},
		{"health_check uri=/ping;", ":method: GET|:scheme: http|:path: /ping|:authority: u", ""},
	} {
		got := make(chan call, 100)
		b := scripted(t, func(q *call) {
			got <- *q
			q.answer(servingMessage, "grpc-status: 0")
		})
		s := grpcChecked(t, b.Addr, strings.Replace(c.text, "health_check ", "health_check mandatory ", 1))
		q := webtest.Receive(t, got)
		if strings.Join(q.lines, "|") != c.head || string(q.body) != c.body {
			t.Errorf("%s\ngot  %q %q\nwant %q %q", c.text, strings.Join(q.lines, "|"), q.body, c.head, c.body)
		}
		if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is healthy") {
			t.Error(got)
		}
	}
}

// TestGRPCHealthCheckAnswers: servers that answer something else are unhealthy, in bounded time and memory.
func TestGRPCHealthCheckAnswers(t *testing.T) {
	forever := func(q *call, more func() error) {
		for more() == nil {
			<-time.After(time.Millisecond) // a slow server, which the check must not wait for
		}
	}
	const timedOut = ": upstream timed out (110: Connection timed out)"
	for _, c := range []struct {
		name   string
		script func(q *call)
		want   string
	}{
		{"another HTTP status", func(q *call) { q.head(true, ":status: 503", "grpc-status: 0") }, "checking status code: status 503"},
		{"a web page", func(q *call) { q.answer("<html>", "x: y") }, `checking gRPC status: the response has no "grpc-status"`},
		{"no trailers", func(q *call) { q.head(true, ":status: 200") }, `checking gRPC status: the response has no "grpc-status"`},
		{"a status that is none", func(q *call) { q.answer(servingMessage, "grpc-status: fine") }, `checking gRPC status: invalid "grpc-status: fine"`},
		{"a negative status", func(q *call) { q.answer(servingMessage, "grpc-status: -0") }, `checking gRPC status: invalid "grpc-status: -0"`},
		{"a status without a name", func(q *call) { q.answer("", "grpc-status: 99") }, "checking gRPC status: gRPC status 99 (Code(99))"},
		{"a status in the head alone", func(q *call) { q.head(true, ":status: 200", "grpc-status: 14") }, "checking gRPC status: gRPC status 14 (Unavailable)"},
		{"no message", func(q *call) { q.head(true, ":status: 200", "grpc-status: 0") }, "checking serving status: the response is not one uncompressed message"},
		{"an empty message", func(q *call) { q.answer("\x00\x00\x00\x00\x00", "grpc-status: 0") }, "checking serving status: serving status UNKNOWN"},
		{"an unknown serving status", func(q *call) { q.answer("\x00\x00\x00\x00\x02\x08\x09", "grpc-status: 0") }, "checking serving status: serving status 9"},
		{"a compressed message", func(q *call) { q.answer("\x01"+servingMessage[1:], "grpc-status: 0") }, "checking serving status: the response is not one uncompressed message"},
		{"a message cut short", func(q *call) { q.answer(servingMessage[:6], "grpc-status: 0") }, "checking serving status: the response is not one uncompressed message"},
		{"two messages", func(q *call) { q.answer(servingMessage+servingMessage, "grpc-status: 0") }, "checking serving status: the response is not one uncompressed message"},
		{"a huge length", func(q *call) { q.answer("\x00\xff\xff\xff\xff\x08\x01", "grpc-status: 0") }, "checking serving status: the response is not one uncompressed message"},
		{"no protocol buffer", func(q *call) { q.answer("\x00\x00\x00\x00\x02\x08\xff", "grpc-status: 0") }, "checking serving status: the message is not a HealthCheckResponse"},
		{"a reset", func(q *call) { q.WriteRSTStream(q.stream, http2.ErrCodeInternal) }, "reading response header from upstream: upstream rejected request with error 2"},
		{"a reset in the body", func(q *call) {
			q.head(false, ":status: 200")
			q.WriteRSTStream(q.stream, http2.ErrCodeInternal)
		}, "reading response body from upstream: upstream rejected request with error 2"},
		{"a refusal", func(q *call) { q.WriteGoAway(0, http2.ErrCodeNo, nil) }, "reading response header from upstream: upstream sent goaway with error 0"},
		{"silence", func(*call) {}, "reading response header from upstream" + timedOut},
		{"silence in the body", func(q *call) { q.head(false, ":status: 200") }, "reading response body from upstream" + timedOut},
		{"a body in drops", func(q *call) {
			q.head(false, ":status: 200")
			forever(q, func() error { return q.WriteData(q.stream, false, []byte("x")) })
		}, "reading response body from upstream" + timedOut},
		{"empty frames", func(q *call) {
			q.head(false, ":status: 200")
			forever(q, func() error { return q.WriteData(q.stream, false, nil) })
		}, "reading response body from upstream" + timedOut},
		{"pings", func(q *call) {
			for q.WritePing(false, [8]byte{}) == nil {
			}
		}, "reading response header from upstream: upstream sent too many ping frames"},
		{"interim heads", func(q *call) {
			for q.head(false, ":status: 103") == nil {
			}
		}, "reading response header from upstream: upstream sent too many interim responses"},
		{"a body too long", func(q *call) {
			q.head(false, ":status: 200")
			for range 256 << 10 / (16 << 10) {
				q.WriteData(q.stream, false, make([]byte, 16<<10))
			}
		}, "checking gRPC status: the response is too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := scripted(t, c.script)
			// A busy machine needs some time for what comes before a timeout.
			timeout := map[bool]string{true: "1s", false: "1m"}[strings.HasSuffix(c.want, timedOut)]
			s := grpcChecked(t, b.Addr, "grpc_read_timeout "+timeout+"; health_check type=grpc grpc_status=12;")
			step, reason, _ := strings.Cut(c.want, ": ")
			if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is unhealthy while "+step+",") || !strings.HasSuffix(got, ": "+reason) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestGRPCHealthChecksOfOtherServers: what speaks no HTTP/2, or ignores the window, is unhealthy.
func TestGRPCHealthChecksOfOtherServers(t *testing.T) {
	for _, says := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", strings.Repeat("garbage", 10000)} {
		b := webtest.Serve(t, func(p *webtest.Peer) { p.Say(says) })
		s := grpcChecked(t, b.Addr, "health_check type=grpc;")
		if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is unhealthy while") {
			t.Errorf("%.20q: got %s", says, got)
		}
	}
	b := scripted(t, func(q *call) {
		q.head(false, ":status: 200")
		for q.WriteData(q.stream, false, make([]byte, 16<<10)) == nil {
		}
	})
	if got := grpcChecked(t, b.Addr, "health_check type=grpc;").AwaitLog("peer is"); !strings.Contains(got, "peer is unhealthy while") {
		t.Errorf("endless: got %s", got)
	}
}

// TestGRPCHealthChecksKeepConnections for keepalive_time, and replace one on which the server takes no more requests.
func TestGRPCHealthChecksKeepConnections(t *testing.T) {
	for _, c := range []struct {
		name, keep string
		goAway     bool
		want       int32
	}{
		{"by default not", "", false, 6},
		{"with a time", "keepalive_time=1h", false, 1},
		{"until the server goes away", "keepalive_time=1h", true, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			var connections atomic.Int32
			asked := make(chan int32, 1000) // the connections until then
			b := scripted(t, func(q *call) {
				if q.stream == 1 {
					connections.Add(1)
				}
				asked <- connections.Load() // before the answer, after which the next check can come
				if c.goAway {
					q.WriteGoAway(q.stream, http2.ErrCodeNo, nil) // before the answer, for the same reason
				}
				q.answer(servingMessage, "grpc-status: 0")
			})
			s := grpcChecked(t, b.Addr, "health_check interval=1ms "+c.keep+" type=grpc;")
			n := int32(0)
			for range 6 {
				n = webtest.Receive(t, asked)
			}
			if n != c.want {
				t.Errorf("%d connections for 6 checks", n)
			}
			if lines := s.Log.Lines(); slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "peer is") }) {
				t.Errorf("logged %q", lines)
			}
		})
	}
}

// TestGRPCHealthCheckProblems: what of a configuration is refused.
func TestGRPCHealthCheckProblems(t *testing.T) {
	for _, c := range []struct{ pass, parameters, want string }{
		{"grpc_pass u;", "type=grpc uri=/x", `"uri" cannot be used with "type=grpc" in /test.conf:3`},
		{"grpc_pass u;", "match=m type=grpc", `"match" cannot be used with "type=grpc" in /test.conf:3`},
		{"grpc_pass u;", "grpc_service=x", `"grpc_service" requires "type=grpc" in /test.conf:3`},
		{"grpc_pass u;", "grpc_status=1", `"grpc_status" requires "type=grpc" in /test.conf:3`},
		{"grpc_pass u;", "type=grpc grpc_status=0", `invalid parameter "grpc_status=0" in /test.conf:3`},
		{"grpc_pass u;", "type=grpc grpc_status=x", `invalid parameter "grpc_status=x" in /test.conf:3`},
		{"grpc_pass u;", "type=grpc grpc_service=\xff", "invalid parameter \"grpc_service=\xff\" in /test.conf:3"},
		{"grpc_pass u;", "type=http", `invalid parameter "type=http" in /test.conf:3`},
		{"proxy_pass http://u;", "type=grpc", `"type=grpc" requires "grpc_pass", but the location has "proxy_pass" in /test.conf:3`},
	} {
		_, err := webtest.Load(t, append([]*web.Module{&module.Module}, checkedFamilies...),
			"match m { } upstream u { zone u 64k; server 127.0.0.1:1; }\nserver { location / { "+c.pass+"\nhealth_check "+c.parameters+"; } }")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.parameters, err, c.want)
		}
	}
}
