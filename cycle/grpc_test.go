package cycle_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"starling/lib/testkit"
)

// calls is a gRPC server. The head of each response has the configuration that passed the call on.
type calls struct {
	testpb.UnimplementedTestServiceServer
	release chan struct{} // closed: streams of the server end
}

// configuration is the one that passed a call on.
func configuration(head metadata.MD) string { return fmt.Sprint(head.Get("x-configuration")) }

func (*calls) sendHead(ctx context.Context) error {
	in, _ := metadata.FromIncomingContext(ctx)
	return grpc.SendHeader(ctx, metadata.MD{"x-configuration": in.Get("x-configuration")})
}

func (c *calls) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{}, c.sendHead(ctx)
}

// FullDuplexCall echoes each message at once.
func (c *calls) FullDuplexCall(both grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	if err := c.sendHead(both.Context()); err != nil {
		return err
	}
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

// StreamingOutputCall sends one message, and a last one after release.
func (c *calls) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	if err := c.sendHead(out.Context()); err != nil {
		return err
	}
	if err := out.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	<-c.release
	return out.Send(&testpb.StreamingOutputCallResponse{})
}

// streams are those of one client that are open at the same time.
type streams struct {
	t      *testing.T
	both   grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]
	output grpc.ServerStreamingClient[testpb.StreamingOutputCallResponse]
}

// open opens both kinds, and checks which configuration they are of.
func open(t *testing.T, ctx context.Context, client testpb.TestServiceClient, want string) *streams {
	t.Helper()
	both, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	output, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []grpc.ClientStream{both, output} {
		if head, err := stream.Header(); err != nil || configuration(head) != want {
			t.Fatalf("a stream of configuration %s, want %s: %v", configuration(head), want, err)
		}
	}
	s := &streams{t, both, output}
	if _, err := output.Recv(); err != nil {
		t.Fatal(err)
	}
	s.converse()
	return s
}

// converse sends messages of several sizes and gets each back before it sends the next.
func (s *streams) converse() {
	s.t.Helper()
	for _, n := range []int{0, 1, 1000, 100_000} {
		if err := s.both.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, n)}}); err != nil {
			s.t.Fatal(n, err)
		}
		if a, err := s.both.Recv(); err != nil || len(a.GetPayload().GetBody()) != n {
			s.t.Fatal(n, a, err)
		}
	}
}

// end has the client end its stream, and the server the other, which it has been let to; both end well.
func (s *streams) end() {
	s.t.Helper()
	if err := s.both.CloseSend(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.both.Recv(); err != io.EOF {
		s.t.Error("stream in both directions:", err)
	}
	if _, err := s.output.Recv(); err != nil {
		s.t.Error("last message of the server:", err)
	}
	if _, err := s.output.Recv(); err != io.EOF {
		s.t.Error("stream of the server:", err)
	}
}

// TestGRPCStreamsSurviveReloads: they go on under the configuration they began with and end well, while the same client
// gets the new configuration for new calls. No call fails meanwhile.
func TestGRPCStreamsSurviveReloads(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service, server := &calls{release: make(chan struct{})}, grpc.NewServer()
	testpb.RegisterTestServiceServer(server, service)
	go server.Serve(l)
	t.Cleanup(server.Stop)

	h, a := newHost(t), address(t)
	configure := func(name string) {
		h.run(`http { access_log off; server { listen ` + a + `; http2 on; location / {
			grpc_pass ` + l.Addr().String() + `; grpc_set_header X-Configuration ` + name + `; } } }`)
	}
	configure("first")
	conn, err := grpc.NewClient(a, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := testpb.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	all := []*streams{open(t, ctx, client, "[first]")}
	for _, name := range []string{"second", "third"} {
		configure(name)
		testkit.Eventually(t, patience, func() error { // the client's next call may come before it knows of the reload
			var head metadata.MD
			if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&head)); err != nil {
				t.Fatal("a call during the reload:", err)
			}
			if got := configuration(head); got != "["+name+"]" {
				return fmt.Errorf("a new call is of configuration %s, not %s", got, name)
			}
			return nil
		})
		all = append(all, open(t, ctx, client, "["+name+"]"))
		for _, s := range all {
			s.converse()
		}
	}
	if err := h.exited(0); err != nil { // both old ones have streams
		t.Error(err)
	}
	close(service.release)
	for _, s := range all {
		s.end()
	}
	testkit.Eventually(t, patience, func() error { return h.exited(2) })
	h.Stop()
}
