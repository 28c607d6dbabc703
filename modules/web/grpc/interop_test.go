package grpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"starling/modules/web/core"
	module "starling/modules/web/grpc"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &module.Module}

// service is a real gRPC server. Requests tell it what to do.
type service struct {
	testpb.UnimplementedTestServiceServer
	release chan struct{} // a stream that waits goes on
	began   chan struct{} // a waiting call has begun
	ended   chan error    // why the context of a waiting call ended
}

// UnaryCall echoes metadata and the payload, and tells its deadline, or answers with a status.
func (s *service) UnaryCall(ctx context.Context, q *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	in, _ := metadata.FromIncomingContext(ctx)
	until, _ := ctx.Deadline()
	grpc.SetHeader(ctx, metadata.Pairs("x-head", first(in, "x-sent"), "x-bin", first(in, "x-sent-bin"), "x-from", first(in, "x-set"),
		"x-until", until.Format(time.RFC3339Nano)))
	grpc.SetTrailer(ctx, metadata.Pairs("x-tail", first(in, "x-sent"), "x-tail-bin", "\x00\xff"))
	if want := q.GetResponseStatus(); want != nil {
		return nil, status.Error(codes.Code(want.Code), want.Message)
	}
	return &testpb.SimpleResponse{Payload: q.GetPayload()}, nil
}

func first(m metadata.MD, key string) string {
	if all := m.Get(key); len(all) > 0 {
		return all[0]
	}
	return ""
}

// EmptyCall waits until its caller leaves.
func (s *service) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	s.began <- struct{}{}
	<-ctx.Done()
	s.ended <- ctx.Err()
	return nil, ctx.Err()
}

// StreamingOutputCall sends its metadata at once, and the messages after release.
func (s *service) StreamingOutputCall(q *testpb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	out.SendHeader(metadata.Pairs("x-head", "early"))
	<-s.release
	for _, p := range q.GetResponseParameters() {
		if err := out.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall sums up what it gets; an empty payload makes it answer at once with an error.
func (s *service) StreamingInputCall(in grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	sum := 0
	for {
		q, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		if len(q.GetPayload().GetBody()) == 0 {
			return status.Error(codes.ResourceExhausted, "enough")
		}
		sum += len(q.GetPayload().GetBody())
	}
}

// FullDuplexCall echoes each message at once.
func (s *service) FullDuplexCall(both grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		q, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := both.Send(&testpb.StreamingOutputCallResponse{Payload: q.GetPayload()}); err != nil {
			return err
		}
	}
}

// HalfDuplexCall reads everything in one goroutine and meanwhile sends as much in another.
func (s *service) HalfDuplexCall(both grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	sent := make(chan error, 1)
	go func() {
		for range manyPieces {
			if err := both.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, pieceBytes)}}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for {
		if _, err := both.Recv(); err == io.EOF {
			return <-sent
		} else if err != nil {
			return err
		}
	}
}

// Far more than all windows and sockets on the way hold.
const (
	manyPieces = 256
	pieceBytes = 64 << 10
)

// fixture is a gRPC server behind starling, and a client.
type fixture struct {
	*service
	server *webtest.Server
	client testpb.TestServiceClient
}

// behind starts both; text is in the location. BACKEND is the address of the server.
func behind(t *testing.T, text string) *fixture {
	t.Helper()
	f := &fixture{service: &service{release: make(chan struct{}), began: make(chan struct{}, 1), ended: make(chan error, 1)}}
	address := f.serve(t)
	f.server = webtest.Start(t, modules, `server { http2 on; client_max_body_size 0;
		location / { grpc_pass grpc://`+address+`; grpc_set_header X-Set "from starling"; `+text+` } }`)
	f.client = dial(t, f.server)
	return f
}

func (f *fixture) serve(t *testing.T, options ...grpc.ServerOption) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(maxMessageBytes))...)
	testpb.RegisterTestServiceServer(s, f.service)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

const maxMessageBytes = 16 << 20

func dial(t *testing.T, s *webtest.Server) testpb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///starling", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return s.DialLoopback(), nil }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

// within bounds a test; what it bounds takes milliseconds.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func payload(n int) *testpb.Payload { return &testpb.Payload{Body: bytes.Repeat([]byte{'x'}, n)} }

// TestUnary: metadata goes both ways, also as binary and behind the message.
func TestUnary(t *testing.T) {
	f := behind(t, "")
	ctx := metadata.AppendToOutgoingContext(within(t), "x-sent", "hello", "x-sent-bin", "\x00\x01\xfe")
	for range 3 { // the later ones on the first one's connection
		var head, tail metadata.MD
		a, err := f.client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(10)}, grpc.Header(&head), grpc.Trailer(&tail))
		if err != nil || len(a.GetPayload().GetBody()) != 10 {
			t.Fatal(a, err, f.server.Log.Lines())
		}
		if first(head, "x-head") != "hello" || first(head, "x-bin") == "" || first(head, "x-from") != "from starling" ||
			first(tail, "x-tail") != "hello" || first(tail, "x-tail-bin") != "\x00\xff" {
			t.Errorf("head %v, trailers %v", head, tail)
		}
	}
}

// TestLargeMessages go through in both directions, whatever the windows are.
func TestLargeMessages(t *testing.T) {
	f := behind(t, "")
	for _, n := range []int{0, 1, 16 << 10, 64<<10 - 5, 64 << 10, 256 << 10, 8 << 20} {
		a, err := f.client.UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload(n)})
		if err != nil || len(a.GetPayload().GetBody()) != n {
			t.Fatal(n, len(a.GetPayload().GetBody()), err)
		}
	}
}

// TestStatuses: a status comes in trailers, or in a head that is all of the response.
func TestStatuses(t *testing.T) {
	f := behind(t, "")
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		_, err := f.client.UnaryCall(within(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(code), Message: "because: ä%"}})
		if got := status.Convert(err); got.Code() != code || got.Message() != "because: ä%" {
			t.Errorf("%v: %v", code, err)
		}
	}
	if _, err := f.client.UnimplementedCall(within(t), &testpb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

// TestServerStreaming: the head arrives before any message, and each message at once.
func TestServerStreaming(t *testing.T) {
	f := behind(t, "")
	q := &testpb.StreamingOutputCallRequest{}
	for i := range 100 {
		q.ResponseParameters = append(q.ResponseParameters, &testpb.ResponseParameters{Size: int32(i * 1000)})
	}
	in, err := f.client.StreamingOutputCall(within(t), q)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := in.Header(); err != nil || first(head, "x-head") != "early" {
		t.Fatal(head, err)
	}
	close(f.release)
	for i := range 100 {
		if a, err := in.Recv(); err != nil || len(a.GetPayload().GetBody()) != i*1000 {
			t.Fatal(i, err)
		}
	}
	if _, err := in.Recv(); err != io.EOF {
		t.Error(err)
	}
}

func TestClientStreaming(t *testing.T) {
	f := behind(t, "")
	out, err := f.client.StreamingInputCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := out.Send(&testpb.StreamingInputCallRequest{Payload: payload(10_000)}); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := out.CloseAndRecv(); err != nil || a.GetAggregatedPayloadSize() != 1_000_000 {
		t.Error(a, err)
	}
}

// TestEarlyStatus: a server that has enough ends the call while the client is still sending.
func TestEarlyStatus(t *testing.T) {
	f := behind(t, "")
	out, err := f.client.StreamingInputCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Send(&testpb.StreamingInputCallRequest{Payload: payload(0)}); err != nil {
		t.Fatal(err)
	}
	if err := out.RecvMsg(new(testpb.StreamingInputCallResponse)); status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

// TestPingPong: each side waits for the other's message before it sends the next.
func TestPingPong(t *testing.T) {
	f := behind(t, "")
	both, err := f.client.FullDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(i)}); err != nil {
			t.Fatal(err)
		}
		if a, err := both.Recv(); err != nil || len(a.GetPayload().GetBody()) != i {
			t.Fatal(i, a, err)
		}
	}
	both.CloseSend()
	if _, err := both.Recv(); err != io.EOF {
		t.Error(err)
	}
}

// TestFullDuplex: a client that reads nothing before it has sent everything does not stop its own messages, however
// full the way back is.
func TestFullDuplex(t *testing.T) {
	f := behind(t, "")
	both, err := f.client.HalfDuplexCall(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range manyPieces {
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: payload(pieceBytes)}); err != nil {
			t.Fatal(i, err)
		}
	}
	both.CloseSend()
	for i := range manyPieces {
		if a, err := both.Recv(); err != nil || len(a.GetPayload().GetBody()) != pieceBytes {
			t.Fatal(i, err)
		}
	}
	if _, err := both.Recv(); err != io.EOF {
		t.Error(err)
	}
}

// TestCancellation reaches the server: before a head, and inside a stream.
func TestCancellation(t *testing.T) {
	f := behind(t, "")
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() {
		_, err := f.client.EmptyCall(ctx, &testpb.Empty{})
		done <- err
	}()
	webtest.Receive(t, f.began)
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if err := webtest.Receive(t, f.ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDeadlineOfTheServer: the server gets the deadline of a call.
func TestDeadlineOfTheServer(t *testing.T) {
	f := behind(t, "")
	want := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), want)
	defer cancel()
	var head metadata.MD
	if _, err := f.client.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&head)); err != nil {
		t.Fatal(err)
	}
	got, err := time.Parse(time.RFC3339Nano, first(head, "x-until"))
	if err != nil || got.Sub(want).Abs() > time.Minute {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
}

// TestDeadlineOfTheClient: a client whose deadline has passed gets that status, and the server learns that it has gone.
// The server does not know the deadline here: if its own timer fires first, it resets the stream, which is a 502.
func TestDeadlineOfTheClient(t *testing.T) {
	f := behind(t, `grpc_set_header grpc-timeout "";`)
	for timeout := 50 * time.Millisecond; ; timeout *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err := f.client.EmptyCall(ctx, &testpb.Empty{})
		cancel()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatal(err)
		}
		select {
		case <-f.began:
			webtest.Receive(t, f.ended) // by the client's reset
			return
		default: // a slow machine: the deadline passed before the call reached the server
		}
		if timeout > 10*time.Second {
			t.Fatal("no call reaches the server")
		}
	}
}

// TestManyCalls run beside each other on one connection of the client.
func TestManyCalls(t *testing.T) {
	f := behind(t, "")
	ctx := within(t)
	failed := make(chan error)
	const calls = 50
	for i := range calls {
		go func() {
			for range 5 {
				sent := metadata.AppendToOutgoingContext(ctx, "x-sent", strconv.Itoa(i))
				var head metadata.MD
				a, err := f.client.UnaryCall(sent, &testpb.SimpleRequest{Payload: payload(i * 1000)}, grpc.Header(&head))
				if err == nil && (len(a.GetPayload().GetBody()) != i*1000 || first(head, "x-head") != strconv.Itoa(i)) {
					err = errors.New("another's answer")
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range calls {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
